"""What an organiser writes reaches each person once, who stands where it is sent when their letter leaves."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.notifier import handlers
from services.notifier.app import compose
from services.notifier.settings import Settings
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, EnrolmentWithdrawn, ParticipantsMessaged
from tests.conftest import settings_of
from tests.integration.notifier.conftest import Notifier
from tests.support.consuming import received, take
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent

OURS = "template = 'organiser-message'"


def messaged(**changes: Any) -> ParticipantsMessaged:
    fields = {
        "message_id": uuid4(),
        "session_id": SESSION_ID,
        "session_version": 1,
        "text": "Venez avec un ordinateur portable.",
        "audience": ["enrolled"],
    }
    return ParticipantsMessaged.model_validate(fields | changes)


async def hear(notifier: Notifier, *messages: ParticipantsMessaged) -> None:
    batch = [received(message) for message in messages]
    for _ in range(2):  # as it may come again
        await take(handlers.router, notifier.database, batch, organisers={})
    await notifier.fan_out()


async def decide(notifier: Notifier, kind: type, name: str, **changes: Any) -> UUID:
    """One of ``kind`` about an agent; returns the enrolment's id."""
    agent = {"agent_id": name, "email": f"{name.lower()}@ville.fr", "family_name": name}
    of_agent = {field: changes.pop(field) for field in ("issuer", "email", "family_name") if field in changes}
    enrolment_id = changes.pop("enrolment_id", None) or uuid4()
    await notifier.hear(
        a_decision(kind, enrolment_id=enrolment_id, agent=an_agent(**agent | of_agent), **changes)
    )
    return enrolment_id


@pytest.fixture
async def known(notifier: Notifier) -> Notifier:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    return notifier


async def recipients(notifier: Notifier) -> list[str]:
    return sorted(row.recipient for row in await notifier.rows("*", OURS))


async def test_each_who_stands_so_has_one_letter(known: Notifier) -> None:
    await decide(known, AgentEnrolled, "A")
    await decide(known, AgentEnrolled, "B")
    await decide(known, AgentWaitlisted, "C", position=1)
    await hear(known, messaged())
    assert await recipients(known) == ["A", "B"]
    await hear(known, messaged(audience=["waitlisted", "pending"]))
    assert await recipients(known) == ["A", "B", "C"]


async def test_only_those_who_are_named(known: Notifier) -> None:
    await decide(known, AgentEnrolled, "A")
    named = await decide(known, AgentEnrolled, "B")
    waits = await decide(known, AgentWaitlisted, "C", position=1)
    await hear(known, messaged(enrolment_ids=[named, waits, uuid4()]))
    [row] = await known.rows("*", OURS)
    assert row.recipient == "B"
    assert row.details.keys() == {"text", "link", "audience", "session_version"}


async def test_one_person_under_two_issuers_hears_once_and_a_shared_mailbox_each(known: Notifier) -> None:
    await decide(known, AgentEnrolled, "1", email="Zoe@ville.fr", family_name="Durand", issuer="iel")
    await decide(known, AgentEnrolled, "2", email="zoe@ville.fr", family_name="DURAND", issuer="sirh")
    await decide(known, AgentEnrolled, "3", email="zoe@ville.fr", family_name="Autre", issuer="iel")
    await hear(known, messaged())
    found = await recipients(known)
    assert len(found) == 2
    assert "3" in found


async def test_who_is_named_under_the_second_of_two_issuers_hears(known: Notifier) -> None:
    ids = sorted(uuid4() for _ in range(2))
    for enrolment_id, issuer in zip(ids, ("iel", "sirh"), strict=True):
        who = {"email": "zoe@ville.fr", "family_name": "Durand", "issuer": issuer}
        await decide(known, AgentEnrolled, issuer, enrolment_id=enrolment_id, **who)
    await hear(known, messaged(enrolment_ids=[ids[1]]))
    assert await recipients(known) == ["sirh"]


async def test_who_has_withdrawn_when_their_turn_comes_is_left_out(known: Notifier) -> None:
    leaves = await decide(known, AgentEnrolled, "A")
    await decide(known, AgentEnrolled, "B")
    await hear(known, messaged())
    await decide(known, EnrolmentWithdrawn, "A", enrolment_id=leaves, version=2)
    await known.deliver()
    states = {row.recipient: row.state for row in await known.rows("*", OURS)}
    assert states == {"A": "superseded", "B": "sent"}


async def test_who_is_not_known_any_more_when_their_turn_comes_is_left_out(known: Notifier) -> None:
    await decide(known, AgentEnrolled, "A")
    await hear(known, messaged())
    await known.change("DELETE FROM enrolment")
    await known.deliver()
    assert [row.state for row in await known.rows("*", OURS)] == ["superseded"]


async def test_it_waits_for_the_session_as_it_was_when_it_left(known: Notifier) -> None:
    await decide(known, AgentEnrolled, "A")
    await hear(known, messaged(session_version=2))
    await known.deliver()
    assert [row.state for row in await known.rows("*", OURS)] == ["pending"]


async def test_organisers_see_the_letter_as_it_will_read_and_others_do_not(
    known: Notifier, notifier_url: str, tmp_path: Path
) -> None:
    tokens = [
        {"name": name, "role": role, "sha256": hashlib.sha256(name.encode()).hexdigest()} | where
        for name, role, where in (
            ("bretagne", "organiser", {"delegation": "bretagne"}),
            ("corse", "organiser", {"delegation": "corse"}),
            ("assistance", "support", {}),
        )
    ]
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(tokens))
    environment = settings_of("notifier", notifier_url, "localhost:1")
    given: dict[str, Any] = {name.lower(): value for name, value in environment.items()}
    process = compose(Settings(**given | {"api_tokens_file": file}))
    transport = httpx.ASGITransport(app=process.api)
    draft = {"text": "Venez avec un ordinateur.", "link": "https://exemple.fr/a", "reader": "waitlisted"}
    path = f"/api/v1/sessions/{SESSION_ID}/messages/preview"
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as client:
        answers = {
            name: await client.post(path, json=draft, headers={"Authorization": f"Bearer {name}"})
            for name in ("bretagne", "corse", "assistance")
        }
        bad = await client.post(
            path, json={"text": "www.exemple.fr"}, headers={"Authorization": "Bearer bretagne"}
        )
    await process.database.close()
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "bretagne": 200,
        "corse": 404,
        "assistance": 403,
    }
    shown = answers["bretagne"].json()
    for part in ("text", "html"):
        assert "Venez avec un ordinateur." in shown[part]
        assert "https://exemple.fr/a" in shown[part]
        assert "liste d’attente" in shown[part]
    assert shown["subject"].startswith("Message de l’organisateur")
    assert bad.status_code == 422
