"""Whatever the notifier keeps of people stands in the register, and ends by its rules."""

from datetime import timedelta
from uuid import uuid4

import pytest

from services.notifier.handlers import router
from services.notifier.personal_data import REGISTER
from services.notifier.settings import Settings
from services.notifier.tables import metadata
from shared import clock
from shared.messaging.giving_up import end_undecided
from shared.observability import configure_logging
from shared.process.jobs import end_old_rows
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.marked import live_through_everything
from tests.integration.notifier.subscribing import a_replay
from tests.support.logs import lines_of, logging_as_before
from tests.support.searching import MARK, columns_with, registered

SETTINGS = Settings(
    notifier_database_url="postgresql://user@localhost/name",
    kafka_bootstrap_servers="localhost:1",
    smtp_host="127.0.0.1",
    smtp_sender="Parcours <ne-pas-repondre@parcours.example>",
    parcours_trial=True,
)


async def test_whatever_is_kept_of_people_stands_in_the_register(notifier: Notifier) -> None:
    await live_through_everything(notifier)

    found = await columns_with(notifier.database, metadata)

    assert found - registered(REGISTER) == set()
    assert {table for table, _ in found} == {
        "agent_detail",
        "dead_letter",
        "enrolment",
        "fan_out",
        "mail",
        "outbox",
        "subscriber",
        "subscription_request",
        "timeline",
        "trainer",
    }


async def test_at_debug_the_log_tells_of_each_event_batch_and_mail_and_names_nobody(
    notifier: Notifier, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_as_before():
        configure_logging("json", "DEBUG", "notifier")
        await live_through_everything(notifier)

    lines = lines_of(capsys)
    assert MARK.lower() not in str(lines).lower()
    batch = next(line for line in lines if line["message"].startswith("portal.agents: a batch of 1 in "))
    (decided,) = (line for line in lines if line["message"].endswith("AgentEnrolled.v1"))
    (mail,) = (line for line in lines if line["message"] == "enrolment-confirmed, attempt 1: failed")
    assert batch["level"] == "DEBUG"
    assert decided.keys() >= {"event_id", "request_id", "enrolment_id", "session_id"}
    assert mail["enrolment_id"] == decided["enrolment_id"]
    assert "mail_id" in mail


async def test_the_presentation_of_news_which_may_name_speakers_stands_in_the_register(
    notifier: Notifier,
) -> None:
    await notifier.hear(a_replay(session_id=uuid4(), published_at=clock.now(), summary=f"Avec {MARK}."))

    found = await columns_with(notifier.database, metadata)

    assert found == {("news", "summary")}
    assert found <= registered(REGISTER)


async def test_nothing_is_left_when_every_rule_has_ended_it_but_what_who_subscribed_wants(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_through_everything(notifier)
    await notifier.change("UPDATE outbox SET sent_at = now()")
    await notifier.change("UPDATE mail SET state = 'sent', settled_at = now() WHERE settled_at IS NULL")
    before = await columns_with(notifier.database, metadata)
    assert await suppressed(notifier) == 1
    await end_old_rows(notifier.database, REGISTER, SETTINGS)
    assert before - await columns_with(notifier.database, metadata) <= {
        *(("enrolment", name) for name in ("agent_id", "address", "given_name", "family_name")),
        *(("trainer", name) for name in ("name", "address")),
    }

    later = clock.now() + timedelta(days=SETTINGS.notifier_addresses_kept_days + 400)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    assert await end_undecided(notifier.database, router, SETTINGS.dead_letters_kept_days) is not None
    await end_old_rows(notifier.database, REGISTER, SETTINGS)

    assert {table for table, _ in await columns_with(notifier.database, metadata)} == {"subscriber"}
    assert await suppressed(notifier) == 0


async def test_a_mail_of_which_nobody_knows_whether_it_left_ends_as_others_do(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_through_everything(notifier)
    await notifier.change("UPDATE mail SET state = 'ambiguous', settled_at = NULL")
    now, left = clock.now(), []
    for days in (-1, 1):
        later = now + timedelta(days=SETTINGS.notifier_mails_kept_days + days)
        monkeypatch.setattr("shared.clock.now", lambda later=later: later)
        await end_old_rows(notifier.database, REGISTER, SETTINGS)
        left.append(len(await notifier.query("SELECT mail_id FROM mail")) > 0)
    assert left == [True, False]


async def suppressed(notifier: Notifier) -> int:
    """How many addresses are written to no more; they are kept as digests, which no search finds."""
    return len(await notifier.query("SELECT kind FROM suppression"))
