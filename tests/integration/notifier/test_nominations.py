"""Who sent a list of trainees has one letter, with the names as they are known when it is written."""

from uuid import UUID, uuid4

import pytest

from services.notifier import handlers
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused, NominationAnswered
from tests.integration.notifier.conftest import Notifier
from tests.support.consuming import received, take
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent

OURS = "template = 'nomination-answered'"
OFFICER = {"name": "Marie Le Bihan", "email": "formation@ville-exemple.fr"}


async def hear(notifier: Notifier, *trainees: tuple[UUID, str, str | None], version: int = 1) -> None:
    rows = [{"enrolment_id": who, "outcome": outcome, "reason": reason} for who, outcome, reason in trainees]
    answered = NominationAnswered.model_validate(
        {
            "request_id": uuid4(),
            "session_id": SESSION_ID,
            "session_version": version,
            "nominated_by": OFFICER,
            "trainees": rows,
        }
    )
    batch = [received(answered)]
    for _ in range(2):  # as it may come again
        await take(handlers.router, notifier.database, batch, organisers={})


async def deliver_in_vain(notifier: Notifier) -> None:
    await notifier.deliver()
    [row] = await notifier.rows("*", OURS)
    assert row.state == "pending"


async def let_a_minute_pass(notifier: Notifier) -> None:
    minute_ago = "now() - INTERVAL '1 minute'"
    await notifier.change(f"UPDATE mail SET due_at = now(), called_for_at = {minute_ago} WHERE {OURS}")


@pytest.fixture
async def nominated(notifier: Notifier) -> tuple[Notifier, UUID, UUID]:
    """Two of whom Alice has a seat and Bruno none; the officer's letter waits for their names."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    seated, refused = uuid4(), uuid4()
    await hear(notifier, (seated, "enrolled", None), (refused, "refused", "session_full"))
    await deliver_in_vain(notifier)
    for enrolment_id, name, kind, why in (
        (seated, "Alice", AgentEnrolled, {}),
        (refused, "Bruno", EnrolmentRefused, {"reason": "session_full"}),
    ):
        agent = an_agent(agent_id=name, given_name=name, email=f"{name.lower()}@ville.fr")
        await notifier.hear(a_decision(kind, enrolment_id=enrolment_id, agent=agent, **why))
    await notifier.change(f"UPDATE mail SET due_at = now() WHERE {OURS}")
    return notifier, seated, refused


async def letter(notifier: Notifier) -> str:
    await notifier.deliver()
    [row] = await notifier.rows("*", OURS)
    assert (row.state, row.address, row.issuer) == ("sent", OFFICER["email"], "")
    [taken] = [taken for taken in notifier.relay.taken if taken.recipient == OFFICER["email"]]
    part = taken.message.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\u00a0", " ")


async def test_it_says_who_has_a_seat_and_who_not_and_why(nominated: tuple[Notifier, UUID, UUID]) -> None:
    notifier, *_ = nominated
    [row] = await notifier.rows("*", OURS)
    assert "Alice" not in str(row.details)
    text = await letter(notifier)
    assert "1 personne y a une place, 1 n’en a pas" in text
    assert "Alice" in text
    assert "Bruno" in text
    assert "session complète" in text


async def test_who_is_forgotten_meanwhile_is_left_out(nominated: tuple[Notifier, UUID, UUID]) -> None:
    notifier, seated, _ = nominated
    await notifier.change("DELETE FROM enrolment WHERE enrolment_id = :id", id=seated)
    await let_a_minute_pass(notifier)
    text = await letter(notifier)
    assert "personne n’y a de place" in text
    assert "Alice" not in text


async def test_it_waits_a_minute_at_most_for_names_that_do_not_come(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await hear(notifier, (uuid4(), "enrolled", None))
    await deliver_in_vain(notifier)
    await let_a_minute_pass(notifier)
    assert "personne n’y a de place" in await letter(notifier)
