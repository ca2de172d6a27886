"""What the metrics say of mails: what came of them, what the relay said, how long answers took."""

from datetime import timedelta

import pytest

from services.notifier import jobs
from services.notifier.service import mails
from shared import clock
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import changed, in_days, scheduled
from tests.support.metrics import metric
from tests.support.smtp import Drop, Reply, SmtpAction
from tests.unit.notifier.builders import a_decision, a_session, an_agent


def answers(code: str, provider: str = "other") -> float:
    return metric("parcours_smtp_answers_total", provider=provider, code=code)


def came_to(outcome: str, template: str = "enrolment-confirmed") -> float:
    return metric("parcours_mails_total", template=template, outcome=outcome)


def in_time(seconds: str) -> float:
    """How many answers took so long at most."""
    return metric("parcours_event_to_mail_seconds_bucket", le=seconds)


def figures() -> list[float]:
    """Of answers, and of what the relay said."""
    return [
        *(in_time(seconds) for seconds in ("300.0", "900.0")),
        *(came_to(outcome) for outcome in ("retry", "sent")),
        *(answers(code) for code in ("451", "250")),
    ]


async def hear_session(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))


async def test_an_answer_is_timed_from_when_its_decision_was_received_to_the_last_word_of_the_relay(
    notifier: Notifier,
) -> None:
    await hear_session(notifier)
    await notifier.hear(a_decision(AgentEnrolled), at=clock.now() - timedelta(minutes=10))
    before = figures()
    notifier.relay.script("RCPT", Reply("451 later"))
    await notifier.deliver()
    assert figures()[:2] == before[:2], "the relay is to be asked again"
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [0, 1, 1, 1, 1, 1]


async def test_what_is_sent_once_more_on_purpose_and_what_is_no_answer_is_not_timed(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(**in_days(40)))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.deliver()
    before, sent = in_time("+Inf"), came_to("sent", "session-changed")
    row = await notifier.row()
    async with notifier.database.transaction() as tx:
        assert await mails.resend(tx, row.mail_id, actor="nadia")
    await notifier.hear(changed(**in_days(41)))
    await notifier.deliver()
    assert await notifier.states() == ["sent"] * 3
    assert came_to("sent", "session-changed") == sent + 1
    assert in_time("+Inf") == before


@pytest.mark.parametrize(
    ("address", "answer", "counted"),
    [
        ("zoe@gmail.com", Reply("571 never"), {"provider": "google", "code": "5xx"}),
        ("zoe@ville.example", Drop(), {"provider": "other", "code": "none"}),
    ],
    ids=["an unknown answer", "no answer"],
)
async def test_answers_of_the_relay_are_counted_and_timed_by_provider(
    notifier: Notifier, address: str, answer: SmtpAction, counted: dict[str, str]
) -> None:
    await hear_session(notifier)
    await notifier.hear(a_decision(AgentEnrolled, agent=an_agent(email=address)))

    def figures() -> tuple[float, float]:
        times = metric("parcours_smtp_seconds_count", provider=counted["provider"])
        return answers(counted["code"], counted["provider"]), times

    before = figures()
    notifier.relay.script("DOT", answer)
    await notifier.deliver()
    assert figures() == (before[0] + 1, before[1] + 1)


async def test_open_mails_are_counted_by_template_and_state_and_no_longer_once_they_are_sent(
    queued: Notifier,
) -> None:
    def confirmed(state: str) -> float:
        return metric("parcours_mails_open", template="enrolment-confirmed", state=state)

    await jobs.measure(queued.database)
    assert [confirmed(state) for state in ("pending", "retry", "ambiguous")] == [1, 0, 0]
    assert metric("parcours_mails_due") == 1
    queued.relay.script("DOT", Drop())
    await queued.deliver()
    await jobs.measure(queued.database)
    assert [confirmed(state) for state in ("pending", "retry", "ambiguous")] == [0, 0, 1]
    assert (metric("parcours_mails_due"), metric("parcours_mails_ambiguous")) == (0, 1)
    await queued.change("UPDATE mail SET state = 'sent'")
    await jobs.measure(queued.database)
    assert confirmed("ambiguous") == 0


async def test_letters_to_many_are_counted_while_they_are_put_into_the_queue(notifier: Notifier) -> None:
    await notifier.hear(scheduled(**in_days(40)))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.take(changed(**in_days(41)))
    agents = metric("parcours_mails_fanned_out_total")
    await notifier.change(
        "UPDATE fan_out SET begun_at = now() - interval '1 hour' WHERE begun_at IS NOT NULL"
    )
    await jobs.measure(notifier.database)
    assert metric("parcours_fan_outs_in_progress") == 1
    assert 3600 <= metric("parcours_fan_outs_oldest_seconds") < 3660
    await notifier.fan_out()
    await jobs.measure(notifier.database)
    assert metric("parcours_fan_outs_in_progress") == metric("parcours_fan_outs_oldest_seconds") == 0
    assert metric("parcours_mails_fanned_out_total") == agents + 1
