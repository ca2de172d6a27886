"""An officer has one letter each: about a list of trainees, and about training that they ask for."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from services.notifier import handlers
from shared import clock
from shared.events.catalogue import BespokeRequestReceived
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused, NominationAnswered, WebhookDisabled
from shared.events.vocabulary import Event
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import bespoke_answered
from tests.support.consuming import received, take
from tests.unit.notifier.builders import SESSION_ID, a_decision, an_agent
from tests.unit.notifier.reading import body

OURS = "nomination-answered"
OFFICER = {"name": "Marie Le Bihan", "email": "formation@ville-exemple.fr"}


async def hear(notifier: Notifier, *trainees: tuple[UUID, str, str | None]) -> None:
    """The answer to the list is read, before the decisions about its trainees."""
    rows = [{"enrolment_id": id_, "outcome": outcome, "reason": reason} for id_, outcome, reason in trainees]
    about = {"request_id": uuid4(), "session_id": SESSION_ID, "session_version": 1}
    answered = NominationAnswered.model_validate(about | {"nominated_by": OFFICER, "trainees": rows})
    batch = [received(answered)]
    for _ in range(2):  # as it may come again
        await take(handlers.router, notifier.database, batch, organisers={})
    await notifier.deliver()
    assert (await notifier.row_of(OURS)).state == "pending"


async def let_a_minute_pass(notifier: Notifier) -> None:
    minute_ago = "due_at = now(), called_for_at = now() - INTERVAL '1 minute'"
    await notifier.change(f"UPDATE mail SET {minute_ago} WHERE template = '{OURS}'")


@pytest.fixture
async def nominated(known: Notifier) -> Notifier:
    """Alice has a seat and Bruno none; the officer's letter may be written."""
    seated, refused = uuid4(), uuid4()
    await hear(known, (seated, "enrolled", None), (refused, "refused", "session_full"))
    alice, bruno = (an_agent(agent_id=name, given_name=name) for name in ("Alice", "Bruno"))
    await known.hear(a_decision(AgentEnrolled, enrolment_id=seated, agent=alice))
    refusal = {"enrolment_id": refused, "agent": bruno, "reason": "session_full"}
    await known.hear(a_decision(EnrolmentRefused, **refusal))
    await known.change("UPDATE mail SET due_at = now()")
    return known


async def letter(notifier: Notifier) -> str:
    await notifier.deliver()
    row = await notifier.row_of(OURS)
    assert (row.state, row.address, row.issuer) == ("sent", OFFICER["email"], "")
    [taken] = [taken for taken in notifier.relay.taken if taken.recipient == OFFICER["email"]]
    return body(taken.message, "text/plain")


async def test_the_letter_about_a_list_says_which_trainees_have_a_seat_and_why_others_have_none(
    nominated: Notifier,
) -> None:
    assert "Alice" not in str((await nominated.row_of(OURS)).details)
    text = await letter(nominated)
    for name in ("Alice", "Bruno", "session complète"):
        assert name in text


async def test_a_trainee_erased_meanwhile_is_left_out(nominated: Notifier) -> None:
    await nominated.change("DELETE FROM enrolment WHERE agent_id = 'Alice'")
    await let_a_minute_pass(nominated)
    assert "Alice" not in await letter(nominated)


async def test_the_letter_about_a_list_waits_a_minute_at_most_for_names(known: Notifier) -> None:
    await hear(known, (uuid4(), "enrolled", None))
    await let_a_minute_pass(known)
    assert await letter(known)


ANNE = "anne.lebris@ville.example"
RECEIVED = BespokeRequestReceived.model_validate(
    {
        "request_id": uuid4(),
        "siret": "21350238800019",
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "theme": "enjeux-ia",
        "trainees": 15,
        "requested_by": {"name": "Anne Le Bris", "email": ANNE},
        "received_at": clock.now(),
    }
)


@pytest.mark.parametrize(
    ("event", "reply_to"), [(RECEIVED, None), (bespoke_answered(), "yann.legoff@cnfpt.example")]
)
async def test_the_officer_who_asks_for_training_has_each_letter_once(
    notifier: Notifier, event: Event, reply_to: str | None
) -> None:
    (event_id,) = await notifier.hear(event)
    await notifier.change("DELETE FROM inbox")
    await notifier.hear(event, ids=[event_id])
    assert await notifier.deliver() == 1
    (taken,), row = notifier.relay.taken, await notifier.row()
    assert (taken.recipient, row.issuer, "@" in row.recipient) == (ANNE, "", False)
    if reply_to is not None:
        assert taken.message["Reply-To"] == reply_to


async def test_the_contact_of_a_portal_hears_once_that_its_webhook_is_disabled(notifier: Notifier) -> None:
    contact = "equipe@portail.example"
    since = datetime(2025, 4, 1, 9, tzinfo=UTC)
    disabled = WebhookDisabled(portal="iel", contact=contact, failing_since=since, reason="status 503")
    batch = [received(disabled)]
    for _ in range(2):
        await take(handlers.router, notifier.database, batch, organisers={})
    await notifier.deliver()
    [taken] = [taken for taken in notifier.relay.taken if taken.recipient == contact]
    text = body(taken.message, "text/plain")
    assert "iel" in text
    assert "status 503" in text
