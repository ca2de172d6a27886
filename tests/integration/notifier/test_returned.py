"""Mails that come back are published once, and their addresses suppressed until an operator lifts that."""

import asyncio
import json
import os
import subprocess
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.notifier import jobs
from services.notifier.delivery.deliverer import Deliverer
from services.notifier.delivery.pool import SmtpPool
from services.notifier.delivery.returns import ReturnMailbox
from services.notifier.letters import EnrolmentState, KnownEnrolment, LetterType, Priority
from services.notifier.letters.bounces import ReturnPath, digest_of
from services.notifier.render import Renderer
from services.notifier.service import bounces as service
from services.notifier.settings import ImapServer, SmtpServer, Tls
from services.notifier.store import bounces, claims
from services.notifier.store.context import contexts
from services.notifier.tables import MailState
from shared import clock
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted
from tests.conftest import settings_of
from tests.integration.notifier.conftest import Notifier, queue_many, until_idle
from tests.support.imap import mailbox
from tests.support.metrics import metric
from tests.support.processes import run_cli
from tests.support.smtp import Reply
from tests.unit.notifier.builders import SENDER, a_decision, a_mail, a_session
from tests.unit.notifier.reports import OUT_OF_OFFICE, a_report

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
PATH = ReturnPath("retours@cnfpt.example", ["a key of thirty-two characters for tests only"])


async def record(notifier: Notifier, raw: bytes, path: ReturnPath) -> str:
    """Take in a message to the return path."""
    async with notifier.database.transaction() as tx:
        return await service.record(tx, raw, path)


async def send(notifier: Notifier) -> str:
    """One more letter to Zoé; its return path."""
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    deliverer = Deliverer(
        notifier.database,
        SmtpPool(SmtpServer("127.0.0.1", notifier.relay.port), size=1),
        Renderer(SENDER, return_path=PATH),
        workers=1,
        message_domain="cnfpt.example",
    )
    before = len(notifier.relay.taken)
    await until_idle(deliverer)
    return notifier.relay.taken[-1].sender if len(notifier.relay.taken) > before else ""


@pytest.fixture
async def sent(notifier: Notifier) -> tuple[Notifier, str]:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    return notifier, await send(notifier)


async def bounced(notifier: Notifier) -> list[dict[str, Any]]:
    return [json.loads(data) for name, data in await notifier.published() if name.endswith("EmailBounced.v1")]


async def failed(notifier: Notifier) -> list[dict[str, Any]]:
    return [json.loads(data) for name, data in await notifier.published() if name.endswith("EmailFailed.v1")]


async def test_a_mail_that_comes_back_is_published_once_and_its_address_is_not_written_to_again(
    sent: tuple[Notifier, str],
) -> None:
    notifier, path = sent
    report = a_report(path)
    assert await record(notifier, report, PATH) == "taken"
    assert await record(notifier, report, PATH) == "known"
    (event,) = await bounced(notifier)
    row = await notifier.row()
    assert (event["mail_id"], event["kind"], event["status"]) == (str(row.mail_id), "hard", "5.1.1")
    assert event["suppressed"]
    assert (event["agent_id"], event["cause_id"]) == (row.recipient, str(row.event_id))
    assert event["issuer"] == "iel"
    assert event["enrolment_id"] == str(row.enrolment_id)
    assert (row.state, row.bounce_status) == ("sent", "5.1.1")
    assert "zoe" not in json.dumps(event).lower()
    assert await send(notifier) == ""
    assert sorted(await notifier.states()) == ["failed", "sent"]
    async with notifier.database.transaction() as tx:
        assert await bounces.lift(tx, "ZOE.durand@ville-exemple.fr")
        assert not await bounces.lift(tx, "zoe.durand@ville-exemple.fr")
    assert await send(notifier) != ""


async def test_an_address_that_the_relay_does_not_know_is_published_as_bad_and_not_written_to_again(
    sent: tuple[Notifier, str],
) -> None:
    notifier, _ = sent
    refusal = "5.1.1 <zoe.durand@ville-exemple.fr>: Recipient address rejected: User unknown"
    notifier.relay.script("RCPT", Reply(f"550 {refusal}"))
    assert await send(notifier) == ""
    (refused,) = await notifier.rows(where="state = 'failed'")
    (event,) = await bounced(notifier)
    assert (event["mail_id"], event["agent_id"]) == (str(refused.mail_id), refused.recipient)
    assert {event["issuer"] for event in (event, *await failed(notifier))} == {"iel"}
    assert event["enrolment_id"] == str(refused.enrolment_id)
    assert (event["kind"], event["status"], event["suppressed"]) == ("hard", "5.1.1", True)
    assert "zoe" not in json.dumps(event).lower()
    recipient = "RCPT TO:<zoe.durand@ville-exemple.fr>"
    before = notifier.relay.commands.count(recipient)
    assert await send(notifier) == ""
    assert notifier.relay.commands.count(recipient) == before
    assert len(await bounced(notifier)) == 1
    assert [event["suppressed"] for event in await failed(notifier)] == [True, True]


async def test_two_processes_that_find_the_same_bad_addresses_do_not_wait_for_each_other_in_a_circle(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await queue_many(notifier, 20)
    owner, minute = uuid4(), timedelta(minutes=1)
    async with notifier.database.quiet_transaction() as tx:
        claimed, _ = await claims.claim(
            tx, owner, list(Priority), most=20, lease=minute, message_domain="x.fr", now=clock.now()
        )
    refused = [
        claims.Settlement(mail.claim, MailState.FAILED, 550, "5.1.1 unknown", bad_address="5.1.1")
        for mail in claimed
    ]

    async def settle() -> None:
        async with notifier.database.quiet_transaction() as tx:
            await claims.settle(tx, owner, refused)

    async def it_waits() -> bool:
        async with notifier.database.quiet_transaction() as tx:
            return bool(await tx.scalar(WAITING))

    addresses = (claimed_mail.mail.address for claimed_mail in claimed)
    first, *others = sorted(addresses, key=lambda address: digest_of(address, b""))
    async with notifier.database.quiet_transaction() as other:
        await bounces.suppress_bad(other, {first: uuid4()})
        settling = asyncio.create_task(settle())
        await eventually(it_waits, "both write to the first no more")
        await bounces.suppress_bad(other, dict.fromkeys(others, uuid4()))
    await settling
    assert await notifier.states() == ["failed"] * 20


@pytest.mark.parametrize(
    ("point", "answer"),
    [
        ("MAIL", "550 5.1.1 who are you"),
        ("DOT", "550 5.1.1 too late"),
        ("RCPT", "450 5.1.1 try later"),
        ("RCPT", "550 5.7.1 relay access denied"),
        ("RCPT", "553 5.1.8 sender address rejected"),
        ("RCPT", "550 no such user, says who"),
    ],
)
async def test_a_refusal_that_says_nothing_of_the_address_ends_no_address(
    sent: tuple[Notifier, str], point: str, answer: str
) -> None:
    notifier, _ = sent
    notifier.relay.script(point, Reply(answer))
    assert await send(notifier) == ""
    assert await bounced(notifier) == []
    assert [event["suppressed"] for event in await failed(notifier)] == ([] if answer[0] == "4" else [False])
    assert await send(notifier) != ""


async def test_a_full_mailbox_is_written_to_again_until_the_third_time(sent: tuple[Notifier, str]) -> None:
    notifier, path = sent
    for number in (1, 2, 3):
        assert path
        await record(notifier, a_report(path, status="5.2.2", number=number), PATH)
        path = await send(notifier)
    assert path == ""
    found = [(event["kind"], event["suppressed"]) for event in await bounced(notifier)]
    assert found == [("soft", False), ("soft", False), ("soft", True)]
    async with notifier.database.transaction() as tx:
        assert await service.lift(tx, "zoe.durand@ville-exemple.fr")
    await record(notifier, a_report(await send(notifier), status="5.2.2", number=4), PATH)
    assert await send(notifier) != "", "what came back before it was lifted counts no more"


async def test_a_report_about_no_mail_of_ours_changes_nothing(sent: tuple[Notifier, str]) -> None:
    notifier, _ = sent
    assert await record(notifier, a_report(PATH.of(uuid4())), PATH) == "no report"
    assert await record(notifier, OUT_OF_OFFICE, PATH) == "no report"
    assert await bounced(notifier) == []


@pytest.mark.parametrize("recipient", ["paul@ville-exemple.fr", "zoe.durand@other.example", ""])
async def test_a_report_that_names_another_recipient_ends_no_address(
    sent: tuple[Notifier, str], recipient: str
) -> None:
    """Who has one mail of ours knows its return path, and could end any address with it."""
    notifier, path = sent
    report = a_report(path).replace(
        b"Final-Recipient: rfc822; zoe.durand@ville-exemple.fr",
        f"Final-Recipient: rfc822; {recipient}".encode(),
    )
    assert await record(notifier, report, PATH) == "no report"
    assert await bounced(notifier) == []
    assert (
        await notifier.query("SELECT 1 FROM bounce") + await notifier.query("SELECT 1 FROM suppression") == []
    )
    assert await send(notifier) != ""
    as_its_host_writes_it = a_report(path).replace(b"zoe.durand@ville", b"Zoe.Durand@VILLE")
    assert await record(notifier, as_its_host_writes_it, PATH) == "taken"


async def test_the_mailbox_is_read_and_what_was_taken_is_seen(sent: tuple[Notifier, str]) -> None:
    notifier, path = sent
    async with mailbox(OUT_OF_OFFICE, a_report(path)) as box:
        box_of_returns = ReturnMailbox(ImapServer("127.0.0.1", box.port, Tls.NONE, "u", "p", "INBOX"))
        before = outcomes()
        await jobs.read_returns(notifier.database, box_of_returns, PATH)
        assert box.seen == {1, 2}
        box.seen.clear()  # as after a kill between the two
        await jobs.read_returns(notifier.database, box_of_returns, PATH)
    assert len(await bounced(notifier)) == 1
    assert [after - then for after, then in zip(outcomes(), before, strict=True)] == [1, 1, 2]


def outcomes() -> list[float]:
    """How many reports were taken, known already, or none."""
    known = ("taken", "known", "no report")
    return [metric("parcours_bounce_messages_total", outcome=outcome) for outcome in known]


async def test_a_mailbox_that_refuses_is_logged_without_its_answer(
    notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    async with mailbox(refuses=True) as box:
        box_of_returns = ReturnMailbox(ImapServer("127.0.0.1", box.port, Tls.NONE, "user", "secret", "INBOX"))
        await jobs.read_returns(notifier.database, box_of_returns, PATH)
    assert "cannot be read" in caplog.text
    assert "secret" not in caplog.text


async def test_a_pipe_hands_in_one_message_and_comes_again_when_the_database_is_away(
    sent: tuple[Notifier, str], notifier_url: str
) -> None:
    notifier, path = sent
    environment = settings_of("notifier", notifier_url, "localhost:1") | {
        "BOUNCE_ADDRESS": "retours@cnfpt.example",
        "LINK_SIGNING_KEY": "a key of thirty-two characters for tests only",
    }
    away = environment | {"NOTIFIER_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}

    def pipe(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return run_cli("notifier", "bounces", "take", environment=settings, given=a_report(path))

    assert pipe(away).returncode == os.EX_TEMPFAIL
    done = pipe(environment)
    assert (done.returncode, done.stdout) == (0, "taken\n"), done.stderr
    row = await notifier.row()
    listed = run_cli("notifier", "bounces", "suppressed", environment=environment)
    assert str(row.mail_id) in listed.stdout
    assert "zoe" not in listed.stdout


async def test_each_letter_has_the_context_of_its_own_reader_and_address(notifier: Notifier) -> None:
    seated, waiting = uuid4(), uuid4()
    await notifier.hear(
        a_decision(AgentEnrolled, enrolment_id=seated),
        a_decision(AgentWaitlisted, enrolment_id=waiting, position=1, version=4),
    )
    mails = [
        a_mail(LetterType.CONFIRMED, enrolment_id=enrolment_id, address=address)
        for enrolment_id, address in (
            (waiting, "good@ville.example"),
            (seated, "Bad@ville.example"),
            (None, "good@ville.example"),
            (seated, "good@ville.example"),
            (None, "bad@VILLE.example"),
            (uuid4(), "good@ville.example"),
        )
    ]
    async with notifier.database.transaction() as tx:
        await bounces.suppress_bad(tx, {"bad@ville.example": uuid4()})
        found = await contexts(tx, mails, clock.now())

    waits, has_a_seat = (
        KnownEnrolment(4, EnrolmentState.WAITLISTED),
        KnownEnrolment(1, EnrolmentState.ENROLLED),
    )
    assert [context.enrolment for context in found] == [waits, has_a_seat, None, has_a_seat, None, None]
    assert [context.suppressed for context in found] == [False, True, False, False, True, False]
