"""An organiser's message reaches each participant in the right state once."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import handlers
from shared.auth import Tokens
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, EnrolmentWithdrawn, ParticipantsMessaged
from tests.integration.notifier.conftest import Notifier, browsing
from tests.integration.notifier.events import scheduled
from tests.integration.notifier.test_mail_log import application, tokens
from tests.support.consuming import received, take
from tests.unit.notifier.builders import SESSION_ID, a_decision, an_agent

__all__ = ["tokens"]
OURS = "organiser-message"


def messaged(**changes: Any) -> ParticipantsMessaged:
    fields = {
        "message_id": uuid4(),
        "session_id": SESSION_ID,
        "session_version": 1,
        "text": "Venez avec un ordinateur portable.",
        "audience": ["enrolled"],
    }
    return ParticipantsMessaged.model_validate(fields | changes)


async def write(notifier: Notifier, **changes: Any) -> list[str]:
    """Have an organiser write. Returns the recipients of all messages."""
    batch = [received(messaged(**changes))]
    for _ in range(2):  # as it may come again
        await take(handlers.router, notifier.database, batch, organisers={})
    await notifier.fan_out()
    return await notifier.addressees(OURS)


async def decide(notifier: Notifier, kind: type, agent_id: str, **changes: Any) -> UUID:
    """Decide about an agent. Returns the enrolment's id."""
    agent = {"agent_id": agent_id, "email": f"{agent_id.lower()}@ville.fr", "family_name": agent_id}
    agent |= {name: changes.pop(name) for name in ("issuer", "email", "family_name") if name in changes}
    enrolment_id: UUID = changes.pop("enrolment_id", None) or uuid4()
    await notifier.hear(a_decision(kind, enrolment_id=enrolment_id, agent=an_agent(**agent), **changes))
    return enrolment_id


async def test_a_message_goes_to_each_participant_in_the_state_or_to_the_named_ones(known: Notifier) -> None:
    await decide(known, AgentEnrolled, "A")
    named = await decide(known, AgentEnrolled, "B")
    waits = await decide(known, AgentWaitlisted, "C", position=1)
    assert await write(known, enrolment_ids=[named, waits, uuid4()]) == ["B"]
    row = await known.row_of(OURS)
    assert row.details.keys() == {"text", "link", "audience", "session_version"}
    assert await write(known) == ["A", "B", "B"]
    assert await write(known, audience=["waitlisted", "pending"]) == ["A", "B", "B", "C"]


async def test_a_person_under_two_issuers_gets_one_message_and_two_persons_of_a_mailbox_one_each(
    known: Notifier,
) -> None:
    await decide(known, AgentEnrolled, "1", email="Zoe@ville.fr", family_name="Durand", issuer="iel")
    await decide(known, AgentEnrolled, "2", email="zoe@ville.fr", family_name="DURAND", issuer="sirh")
    await decide(known, AgentEnrolled, "3", email="zoe@ville.fr", family_name="Autre", issuer="iel")
    found = await write(known)
    assert (len(found), "3" in found) == (2, True)


async def test_a_participant_named_under_the_second_of_two_issuers_gets_the_message(known: Notifier) -> None:
    ids = sorted(uuid4() for _ in range(2))
    for enrolment_id, issuer in zip(ids, ("iel", "sirh"), strict=True):
        zoe = {"email": "zoe@ville.fr", "family_name": "Durand", "issuer": issuer}
        await decide(known, AgentEnrolled, issuer, enrolment_id=enrolment_id, **zoe)
    assert await write(known, enrolment_ids=[ids[1]]) == ["sirh"]


async def test_a_participant_who_withdrew_or_is_not_known_any_more_gets_no_message(
    known: Notifier,
) -> None:
    ids = {name: await decide(known, AgentEnrolled, name) for name in ("A", "B", "C")}
    await write(known)
    await decide(known, EnrolmentWithdrawn, "A", enrolment_id=ids["A"], version=2)
    await known.change("DELETE FROM enrolment WHERE agent_id = 'C'")
    await known.deliver()
    states = {row.recipient: row.state for row in await known.rows(where=f"template = '{OURS}'")}
    assert states == {"A": "superseded", "B": "sent", "C": "superseded"}


@pytest.mark.parametrize(
    ("token", "organiser", "link", "status"),
    [
        ("bretagne", "bretagne", "https://exemple.fr/a", 200),
        ("bretagne", "bretagne", "exemple", 422),
        ("bretagne", "corse", "https://exemple.fr/a", 404),
        ("support", "bretagne", "https://exemple.fr/a", 403),
    ],
)
async def test_organisers_see_the_letter_as_it_will_read_and_others_do_not(
    *, notifier: Notifier, tokens: Tokens, token: str, organiser: str, link: str, status: int
) -> None:
    await notifier.hear(scheduled(organiser=organiser))
    draft = {"text": "Venez avec un ordinateur.", "link": link, "reader": "waitlisted"}
    path, headers = f"/api/v1/sessions/{SESSION_ID}/messages/preview", {"Authorization": f"Bearer {token}"}
    async with browsing(application(notifier, tokens)) as client:
        answer = await client.post(path, json=draft, headers=headers)
    assert answer.status_code == status
    if status == 200:
        for part in (answer.json()["text"], answer.json()["html"]):
            for said in ("Venez avec un ordinateur.", link, "liste d’attente"):
                assert said in part
