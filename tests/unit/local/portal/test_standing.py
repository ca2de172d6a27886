"""Where an agent stands follows from what was sent and heard."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from local.portal import envelope, requests
from local.portal.envelope import Envelope
from local.portal.journal import Travel
from local.portal.people import STAFF
from local.portal.requests import Request
from local.portal.standing import Standing, Standings

SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
ZOE, LOIC = STAFF[:2]
SEAT = requests.seat(SESSION, ZOE)
WITHDRAWAL = requests.withdrawal(SESSION, ZOE, by="agent", reason="")


def sent(request: Request) -> Travel:
    made = envelope.signed(request, "/portals/exemple", None, datetime.now(UTC))
    return Travel("sent", made, datetime.now(UTC), (0, 0))


def heard(name: str, cause: Travel | None = None, **members: Any) -> Travel:
    data = {
        "enrolment_id": "1",
        "version": 1,
        "request_id": cause and cause.envelope.id,
        "session_id": SESSION,
        "agent": ZOE.as_json(),
        **members,
    }
    headers = (("ce_id", str(uuid.uuid4())), ("ce_type", f"fr.cnfpt.enrolment.{name}.v1"))
    answer = Envelope("portal.answers.exemple", ZOE.agent_id, headers, data)
    return Travel("heard", answer, datetime.now(UTC), (0, 0))


def standing_of_zoe(*travels: Travel) -> Standing:
    standing = Standings(travels).of(ZOE.agent_id, SESSION)
    assert standing is not None
    return standing


def test_a_request_is_unanswered_until_its_answer_is_heard() -> None:
    asked = sent(SEAT)
    before, after = standing_of_zoe(asked), standing_of_zoe(asked, heard("AgentEnrolled", asked))
    assert (before.state, before.unanswered) == ("asked", {asked.envelope.id})
    assert (after.state, after.unanswered, after.live) == ("enrolled", set(), True)


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        (("AgentWaitlisted",), "waiting"),
        (("AgentWaitlisted", "SeatOffered"), "offered"),
        (("AgentWaitlisted", "SeatOffered", "SeatOfferLapsed"), "lapsed"),
        (("EnrolmentPending", "AgentEnrolled"), "enrolled"),
        (("AgentEnrolled", "EnrolmentWithdrawn"), "withdrawn"),
        (("AgentEnrolled", "AttendanceRecorded"), "enrolled"),
        (("AgentWaitlisted", "SeatNotObtained"), "not_obtained"),
        (("AgentEnrolled", "SomethingNewer"), "enrolled"),
    ],
)
def test_the_last_answer_says_where_an_agent_stands(answers: Sequence[str], state: str) -> None:
    asked = sent(SEAT)
    history = [heard(name, asked, version=number) for number, name in enumerate(answers, start=1)]
    assert standing_of_zoe(asked, *history).state == state


def test_an_answer_that_comes_late_changes_nothing() -> None:
    asked = sent(SEAT)
    late = heard("AgentWaitlisted", asked, version=1)
    assert standing_of_zoe(asked, heard("AgentEnrolled", version=2), late).state == "enrolled"


@pytest.mark.parametrize(
    ("second", "members"),
    [
        (WITHDRAWAL, {"asked": "withdrawal", "reason": "deadline_passed"}),
        (WITHDRAWAL, {"reason": "already_enrolled"}),
        (requests.swap(SESSION, ZOE, "other"), {"asked": "swap", "reason": "session_full"}),
    ],
    ids=["a withdrawal", "a second request", "a move"],
)
def test_a_refusal_of_what_changes_nothing_leaves_the_seat_and_is_shown(
    second: Request, members: dict[str, str]
) -> None:
    asked, again = sent(SEAT), sent(second)
    refusal = heard("EnrolmentRefused", again, version=2, **members)
    standing = standing_of_zoe(asked, heard("AgentEnrolled", asked), again, refusal)
    assert (standing.state, standing.refusal, standing.unanswered) == ("enrolled", refusal, set())


def test_a_move_is_answered_in_the_other_session_and_ends_the_seat_in_this_one() -> None:
    asked, elsewhere = sent(SEAT), "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12"
    moving = sent(requests.swap(SESSION, ZOE, elsewhere))
    gained = heard("AgentEnrolled", moving, session_id=elsewhere, enrolment_id="2")
    before = [asked, heard("AgentEnrolled", asked), moving]
    assert standing_of_zoe(*before).unanswered == {moving.envelope.id}
    standings = Standings([*before, gained, heard("EnrolmentWithdrawn", version=2, moved_to=elsewhere)])
    left, there = (standings.of(ZOE.agent_id, session) for session in (SESSION, elsewhere))
    assert left
    assert there
    assert (left.state, left.unanswered, there.state) == ("withdrawn", set(), "enrolled")


def test_a_group_is_answered_agent_by_agent() -> None:
    group = sent(requests.group(SESSION, [ZOE, LOIC], all_or_nothing=False))
    standings = Standings([group, heard("AgentEnrolled", group)])
    states = {each.agent["agent_id"]: each.state for each in standings.all()}
    assert states == {ZOE.agent_id: "enrolled", LOIC.agent_id: "asked"}
    answer = standings.answer_to(group)
    assert answer is not None
    assert standings.request_of(answer) is group
