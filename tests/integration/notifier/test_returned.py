"""Mails that come back are published once, and their addresses suppressed until an operator lifts that."""

import asyncio
import os
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from services.notifier import jobs
from services.notifier.delivery import returns
from services.notifier.delivery.deliverer import Deliverer
from services.notifier.delivery.pool import SmtpPool
from services.notifier.delivery.returns import ReturnMailbox
from services.notifier.letters import EnrolmentState, KnownEnrolment, LetterType, Priority
from services.notifier.letters.bounces import digest_of
from services.notifier.render import Renderer
from services.notifier.return_path import ReturnPath
from services.notifier.service import bounces as service
from services.notifier.settings import ImapServer, SmtpServer, Tls
from services.notifier.store import bounces, claims
from services.notifier.store.context import contexts
from services.notifier.tables import MailState
from shared import clock
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted
from shared.events.notifier import EmailBounced, EmailFailed
from tests.integration.notifier.conftest import Notifier, RunCommand, queue_many, until_idle
from tests.integration.notifier.events import ADDRESS
from tests.integration.notifier.test_ends_and_outages import MINUTE, OWNER
from tests.support.imap import mailbox
from tests.support.locks import locks_awaited
from tests.support.metrics import metric
from tests.support.smtp import Reply
from tests.unit.notifier.builders import SENDER, a_decision, a_mail
from tests.unit.notifier.reports import OUT_OF_OFFICE, a_report

KEY = "a key of thirty-two characters for tests only"
PATH = ReturnPath("retours@cnfpt.example", [KEY])


async def record(notifier: Notifier, raw: bytes) -> str:
    """Take in a message to the return path."""
    async with notifier.database.transaction() as tx:
        return await service.record(tx, raw, PATH)


async def send(notifier: Notifier) -> str:
    """Send one more letter to Zoé. Returns its return path, or nothing if it did not leave."""
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    pool = SmtpPool(SmtpServer("127.0.0.1", notifier.relay.port), size=1)
    renderer = Renderer(SENDER, return_path=PATH)
    before = len(notifier.relay.taken)
    await until_idle(Deliverer(notifier.database, pool, renderer, workers=1, message_domain="x.example"))
    return notifier.relay.taken[-1].sender if len(notifier.relay.taken) > before else ""


@pytest.fixture
async def path(known: Notifier) -> str:
    """The return path of a letter that was sent."""
    return await send(known)


async def kinds(notifier: Notifier) -> list[tuple[str, bool]]:
    """What was published of mails that came back: their kinds, and whether the address is suppressed."""
    return [(event["kind"], event["suppressed"]) for event in await notifier.events(EmailBounced)]


def of_mail(row: Any) -> dict[str, Any]:
    """What each event says of its mail."""
    ids = {"mail_id": str(row.mail_id), "enrolment_id": str(row.enrolment_id)}
    return {**ids, "cause_id": str(row.event_id), "issuer": "iel", "agent_id": row.recipient}


async def test_a_mail_that_comes_back_is_published_once_and_its_address_is_not_written_to_again(
    notifier: Notifier, path: str
) -> None:
    assert [await record(notifier, a_report(path)) for _ in range(2)] == ["taken", "known"]
    (event,), row = await notifier.events(EmailBounced), await notifier.row()
    assert event | of_mail(row) == event
    assert (event["kind"], event["status"], event["suppressed"]) == ("hard", "5.1.1", True)
    assert "zoe" not in str(event).lower()
    assert (row.state, row.bounce_status) == ("sent", "5.1.1")
    assert (await send(notifier), sorted(await notifier.states())) == ("", ["failed", "sent"])
    async with notifier.database.transaction() as tx:
        assert await bounces.lift(tx, "ZOE.durand@ville-exemple.fr")
        assert not await bounces.lift(tx, ADDRESS)
    assert await send(notifier) != ""


async def test_an_address_that_the_relay_does_not_know_is_published_as_bad_and_not_written_to_again(
    known: Notifier,
) -> None:
    refusal = f"550 5.1.1 <{ADDRESS}>: Recipient address rejected: User unknown"
    known.relay.script("RCPT", Reply(refusal))
    assert await send(known) == ""
    (event,), row = await known.events(EmailBounced), await known.row()
    assert event | of_mail(row) == event
    assert (event["kind"], event["status"], event["suppressed"]) == ("hard", "5.1.1", True)
    assert "zoe" not in str(event).lower()
    assert await send(known) == ""
    assert known.relay.commands.count(f"RCPT TO:<{ADDRESS}>") == 1
    assert len(await kinds(known)) == 1
    assert [event["suppressed"] for event in await known.events(EmailFailed)] == [True, True]


async def test_a_host_that_calls_every_address_bad_stops_twenty_a_day_and_they_are_lifted_together(
    known: Notifier, command: RunCommand
) -> None:
    path = await send(known)
    await queue_many(known, 25)
    async with known.database.quiet_transaction() as tx:
        claimed, _ = await claims.claim(
            tx, OWNER, list(Priority), most=25, lease=MINUTE, message_domain="x.fr", now=clock.now()
        )
        refused = [
            claims.Settlement(mail.claim, MailState.FAILED, 550, "5.1.1 unknown", bad_address="5.1.1")
            for mail in claimed
        ]
        await claims.settle(tx, OWNER, refused)
    assert sorted(await kinds(known)) == [("hard", False)] * 5 + [("hard", True)] * 20
    await known.change("UPDATE mail SET address = 'agent@Ville-exemple.fr' WHERE state = 'failed'")
    assert await record(known, a_report(path)) == "taken"
    assert (await kinds(known))[-1] == ("hard", False), "a report is believed no more"

    for code, number in (("5.2.1", 0), ("5.1.1", 20), ("5.1.1", 0)):
        lifted = await command("bounces", "lift-since", "2025-01-01", "--code", code)
        assert lifted.stdout == f"{number} are written to again.\n"


async def test_two_processes_that_find_the_same_bad_addresses_do_not_wait_for_each_other_in_a_circle(
    known: Notifier,
) -> None:
    await queue_many(known, 20)
    async with known.database.quiet_transaction() as tx:
        claimed, _ = await claims.claim(
            tx, OWNER, list(Priority), most=20, lease=MINUTE, message_domain="x.fr", now=clock.now()
        )
    refused = [
        claims.Settlement(mail.claim, MailState.FAILED, 550, "5.1.1 unknown", bad_address="5.1.1")
        for mail in claimed
    ]

    async def settle() -> None:
        async with known.database.quiet_transaction() as tx:
            await claims.settle(tx, OWNER, refused)

    addresses = (mail.mail.address for mail in claimed)
    first, *others = sorted(addresses, key=lambda address: digest_of(address, b""))
    async with known.database.quiet_transaction() as other:
        await bounces.suppress_bad(other, {first: uuid4()})
        settling = asyncio.create_task(settle())
        await locks_awaited(known.database)  # both write to the first no more
        await bounces.suppress_bad(other, dict.fromkeys(others, uuid4()))
    await settling
    assert await known.states() == ["failed"] * 20


@pytest.mark.parametrize(
    ("point", "answer", "failed"),
    [
        ("MAIL", "550 5.1.1 who are you", [False]),
        ("DOT", "550 5.1.1 too late", [False]),
        ("RCPT", "450 5.1.1 try later", []),
        ("RCPT", "550 5.7.1 relay access denied", [False]),
        ("RCPT", "550 no such user, says who", [False]),
    ],
)
async def test_a_refusal_that_says_nothing_of_the_address_ends_no_address(
    known: Notifier, point: str, answer: str, failed: list[bool]
) -> None:
    known.relay.script(point, Reply(answer))
    assert await send(known) == ""
    assert await kinds(known) == []
    assert [event["suppressed"] for event in await known.events(EmailFailed)] == failed
    assert await send(known) != ""


async def test_a_full_mailbox_is_written_to_again_until_the_third_time(notifier: Notifier, path: str) -> None:
    for number in (1, 2, 3):
        assert path
        await record(notifier, a_report(path, status="5.2.2", number=number))
        path = await send(notifier)
    assert path == ""
    assert await kinds(notifier) == [("soft", False), ("soft", False), ("soft", True)]
    async with notifier.database.transaction() as tx:
        assert await service.lift(tx, ADDRESS)
    await record(notifier, a_report(await send(notifier), status="5.2.2", number=4))
    assert await send(notifier) != "", "what came back before it was lifted counts no more"


async def test_a_report_about_no_mail_of_ours_changes_nothing(notifier: Notifier, path: str) -> None:
    assert path
    for raw in (a_report(PATH.of(uuid4())), OUT_OF_OFFICE):
        assert await record(notifier, raw) == "no report"
    assert await kinds(notifier) == []


@pytest.mark.parametrize("recipient", ["paul@ville-exemple.fr", "zoe.durand@other.example", ""])
async def test_a_report_that_names_another_recipient_ends_no_address(
    notifier: Notifier, path: str, recipient: str
) -> None:
    """A reader of one mail knows its return path, and could end any address with it."""
    report = a_report(path)
    other = report.replace(f"rfc822; {ADDRESS}".encode(), f"rfc822; {recipient}".encode())
    assert await record(notifier, other) == "no report"
    assert await kinds(notifier) == []
    for table in ("bounce", "suppression"):
        assert await notifier.query(f"SELECT 1 FROM {table}") == []
    as_its_host_writes_it = report.replace(b"zoe.durand@ville", b"Zoe.Durand@VILLE")
    assert await record(notifier, as_its_host_writes_it) == "taken"


async def test_the_mailbox_is_read_and_what_was_taken_is_seen(notifier: Notifier, path: str) -> None:
    async with mailbox(OUT_OF_OFFICE, a_report(path)) as box:
        reader = ReturnMailbox(ImapServer("127.0.0.1", box.port, Tls.NONE, "u", "p", "INBOX"))
        before = outcomes()
        await jobs.read_returns(notifier.database, reader, PATH)
        assert box.seen == {1, 2}
        box.seen.clear()  # as after a kill between the two
        await jobs.read_returns(notifier.database, reader, PATH)
    assert len(await kinds(notifier)) == 1
    assert [after - then for after, then in zip(outcomes(), before, strict=True)] == [1, 1, 2]


def outcomes() -> list[float]:
    """How many reports were taken, known already, or none."""
    names = ("taken", "known", "no report")
    return [metric("parcours_bounce_messages_total", outcome=outcome) for outcome in names]


async def test_a_mailbox_that_refuses_is_logged_without_its_answer(
    notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    async with mailbox(refuses=True) as box:
        reader = ReturnMailbox(ImapServer("127.0.0.1", box.port, Tls.NONE, "user", "secret", "INBOX"))
        await jobs.read_returns(notifier.database, reader, PATH)
    assert ("cannot be read" in caplog.text, "secret" in caplog.text) == (True, False)


@pytest.mark.parametrize("messages", [[b"x" * 60_000], [b"x"] * 30], ids=["bytes", "lines"])
async def test_a_mailbox_that_sends_too_much_is_left(
    notifier: Notifier,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[bytes],
) -> None:
    monkeypatch.setattr(returns, "CONNECTION_BYTES", 50_000)
    async with mailbox(*messages) as box:
        large = ReturnMailbox(ImapServer("127.0.0.1", box.port, Tls.NONE, "u", "p", "INBOX"))
        await jobs.read_returns(notifier.database, large, PATH)
    assert ("cannot be read" in caplog.text, box.seen) == (True, set())


async def test_a_mailbox_that_sends_for_too_long_is_left(
    notifier: Notifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"*")
                await writer.drain()
                await asyncio.sleep(0.01)

    monkeypatch.setattr(returns, "CONNECTION_SECONDS", 0.1)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        slow = ReturnMailbox(ImapServer("127.0.0.1", port, Tls.NONE, "u", "p", "INBOX"))
        async with asyncio.timeout(20):
            await jobs.read_returns(notifier.database, slow, PATH)
    assert "cannot be read" in caplog.text


async def test_a_pipe_hands_in_one_message_and_comes_again_when_the_database_is_away(
    notifier: Notifier, path: str, command: RunCommand
) -> None:
    settings = {"BOUNCE_ADDRESS": "retours@cnfpt.example", "LINK_SIGNING_KEY": KEY}
    away = settings | {"NOTIFIER_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
    late = await command("bounces", "take", given=a_report(path), **away)
    done = await command("bounces", "take", given=a_report(path), **settings)
    assert (late.exit_code, done.exit_code, done.stdout) == (os.EX_TEMPFAIL, 0, "taken\n")
    listed = (await command("bounces", "suppressed")).stdout
    assert (str((await notifier.row()).mail_id) in listed, "zoe" in listed) == (True, False)


async def test_each_letter_has_the_context_of_its_own_reader_and_address(notifier: Notifier) -> None:
    seated, waiting = uuid4(), uuid4()
    await notifier.hear(
        a_decision(AgentEnrolled, enrolment_id=seated),
        a_decision(AgentWaitlisted, enrolment_id=waiting, position=1, version=4),
    )
    async with notifier.database.transaction() as tx:
        await bounces.suppress_bad(tx, {"bad@ville.example": uuid4()})
    waits = KnownEnrolment(4, EnrolmentState.WAITLISTED)
    has_a_seat = KnownEnrolment(1, EnrolmentState.ENROLLED)
    expected = [
        (waiting, "good@ville.example", waits, False),
        (seated, "Bad@ville.example", has_a_seat, True),
        (None, "good@ville.example", None, False),
        (seated, "good@ville.example", has_a_seat, False),
        (None, "bad@VILLE.example", None, True),
        (uuid4(), "good@ville.example", None, False),
    ]
    letters = [
        a_mail(LetterType.CONFIRMED, enrolment_id=enrolment_id, address=address)
        for enrolment_id, address, *_ in expected
    ]
    async with notifier.database.transaction() as tx:
        found = await contexts(tx, letters, clock.now())
    assert [(context.enrolment, context.suppressed) for context in found] == [row[2:] for row in expected]
