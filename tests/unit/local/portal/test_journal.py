"""What the example portal keeps survives it."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from local.portal import envelope, requests
from local.portal.envelope import Envelope
from local.portal.journal import Journal
from local.portal.people import STAFF, new_agent

SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"


def a_request() -> Envelope:
    return envelope.signed(requests.seat(SESSION, STAFF[0]), "/portals/exemple", None, datetime.now(UTC))


def an_answer(event_id: str, source: str = "/services/enrolment") -> Envelope:
    headers = (("ce_id", event_id), ("ce_source", source), ("ce_type", "fr.cnfpt.enrolment.AgentEnrolled.v1"))
    data = {"session_id": SESSION, "request_id": None, "agent": STAFF[0].as_json()}
    return Envelope("portal.answers.exemple", "EX-101", headers, data)


async def test_what_is_kept_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "portal" / "journal.jsonl"
    journal, first, second = Journal(path), a_request(), a_request()
    newcomer = new_agent("Zoé", "Dürand", "agent", STAFF[0].employer, "zoe@ville.example")
    journal.add_request(first)
    journal.add_request(second)
    journal.acknowledge(first, 3, 17)
    journal.add_answers([(an_answer("1"), 0, 5)])
    journal.add_agent(newcomer)
    again = Journal(path)
    assert again.travels == journal.travels
    assert [(each.envelope, each.place) for each in again.travels[:2]] == [(first, (3, 17)), (second, None)]
    assert (again.newcomers, again.moves) == ([newcomer], 5)
    assert again.unacknowledged() == [second], "what the broker may not have is sent again, with the same id"


async def test_an_answer_that_comes_again_is_known_by_source_and_id(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add_answers([(an_answer("1"), 0, 5), (an_answer("1"), 0, 6)])
    journal.add_answers([(an_answer("1"), 0, 5), (an_answer("1", "/services/catalogue"), 0, 7)])
    assert [each.place for each in journal.travels] == [(0, 5), (0, 7)]


async def test_only_answers_about_its_own_agents_and_requests_are_kept(tmp_path: Path) -> None:
    journal, asked, stranger = Journal(tmp_path / "journal.jsonl"), a_request(), {"agent_id": "IEL-1"}
    journal.add_request(asked)
    theirs, rejection = an_answer("1"), an_answer("2")
    theirs = replace(theirs, data=theirs.data | {"agent": stranger, "request_id": str(uuid.uuid4())})
    rejection = replace(rejection, data={"request_id": asked.id, "code": "invalid"})
    journal.add_answers([(theirs, 0, 1), (rejection, 0, 2)])
    assert [each.envelope for each in journal.travels] == [asked, rejection]
