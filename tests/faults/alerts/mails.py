"""Causes of what is wrong with mails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.alerts.installed import AlertCause, Installed
from tests.faults.installation import until
from tests.support.smtp import Drop

WAITS = "state IN ('pending', 'retry')"


@asynccontextmanager
async def _a_letter_waits(installed: Installed) -> AsyncIterator[None]:
    """A letter is in the queue while the relay is away; on the way out the relay is back, and it leaves."""
    relay = installed.users.relay
    port = relay.port
    await relay.stop()
    await installed.users.ask_for_seats("large", 1)
    await installed.until_sql("notifier", f"EXISTS (SELECT 1 FROM mail WHERE {WAITS})")
    yield
    await relay.start(port)


@asynccontextmanager
async def _the_relay_is_away(installed: Installed) -> AsyncIterator[None]:
    async with _a_letter_waits(installed):
        installed.sql("notifier", f"UPDATE mail SET due_at = due_at - interval '11 minutes' WHERE {WAITS}")
        yield


@asynccontextmanager
async def _the_relay_was_away_for_long(installed: Installed) -> AsyncIterator[None]:
    async with _a_letter_waits(installed):
        before = "called_for_at = called_for_at - interval '20 minutes', due_at = now() - interval '1 minute'"
        installed.sql("notifier", f"UPDATE mail SET {before} WHERE {WAITS}")
    yield


@asynccontextmanager
async def _the_relay_hangs_up_after_a_message(installed: Installed) -> AsyncIterator[None]:
    installed.users.relay.script("DOT", Drop())
    await installed.users.ask_for_seats("large", 1)
    yield
    mail_id = installed.sql("notifier", "SELECT mail_id FROM mail WHERE state = 'ambiguous'")
    assert not await installed.users.run("notifier", "mails", "resolve", mail_id, "--sent")


@asynccontextmanager
async def _the_database_is_restored(installed: Installed) -> AsyncIterator[None]:
    users = installed.users
    notifier, postgres = users.services["notifier"], users.installation.postgres
    await asyncio.to_thread(notifier.stop)
    postgres.execute("CREATE DATABASE notifier_before TEMPLATE notifier OWNER notifier")
    await asyncio.to_thread(notifier.start)
    letters = len(users.relay.taken)
    await users.ask_for_seats("large", 1)
    await users.until_letters(letters + 1)
    await until(users.has_read_all, "all is read")
    await asyncio.to_thread(notifier.stop)
    postgres.execute("DROP DATABASE notifier")
    postgres.execute("ALTER DATABASE notifier_before RENAME TO notifier")
    await asyncio.to_thread(notifier.start)
    yield
    await asyncio.to_thread(notifier.stop)
    assert not await users.rewind("notifier")
    await asyncio.to_thread(notifier.start)
    assert not await users.reconcile_mails()


@asynccontextmanager
async def _a_letter_cannot_be_written(installed: Installed) -> AsyncIterator[None]:
    """A fault of ours: a date in it is none. The others go."""
    async with _a_letter_waits(installed):
        installed.sql(
            "notifier", f'UPDATE mail SET details = details || \'{{"until": "never"}}\' WHERE {WAITS}'
        )
    yield


@asynccontextmanager
async def _a_letter_of_a_newer_version_is_on_its_way(installed: Installed) -> AsyncIterator[None]:
    """Its version was taken back. Then it is there again, and the letter done."""
    values = "gen_random_uuid(), 'of-a-newer-version', gen_random_uuid(), '{}', now(), gen_random_uuid()"
    installed.sql(
        "notifier",
        "INSERT INTO fan_out (event_id, task, subject_id, details, called_for_at, last_id_done, begun_at) "
        f"VALUES ({values}, now() - interval '3 hours')",
    )
    yield
    installed.sql("notifier", "UPDATE fan_out SET done_at = now() WHERE task = 'of-a-newer-version'")


CAUSES = [
    AlertCause(("ParcoursMailsLate",), _the_relay_is_away),
    AlertCause(("ParcoursAnswersSlow",), _the_relay_was_away_for_long),
    AlertCause(("ParcoursMailsAmbiguous",), _the_relay_hangs_up_after_a_message),
    AlertCause(("ParcoursLettersUnwritable",), _a_letter_cannot_be_written),
    AlertCause(("ParcoursFanOutStuck",), _a_letter_of_a_newer_version_is_on_its_way),
    AlertCause(("ParcoursMailsHeld",), _the_database_is_restored),
]
