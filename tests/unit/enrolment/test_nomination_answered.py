"""Who sent a list of trainees is told what became of each of them, once per list (rule 14)."""

from datetime import timedelta
from typing import Any

from services.enrolment.rules.requests import Nomination
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.enrolment import NominationAnswered, NominationOutcome
from shared.events.reasons import Reason
from shared.events.vocabulary import EARLIEST, Agent, Contact
from tests.support.rosters import NANTES, RENNES, a_nomination, a_roster, agents, an_agent_of, decided

OFFICER = Contact(name="Marie Le Bihan", email="formation@ville-exemple.fr")
SEAT, REFUSED = NominationOutcome.ENROLLED, NominationOutcome.REFUSED


def a_private_session(**session: Any) -> SessionRoster:
    private: dict[str, Any] = {"format": "bespoke", "audience": {"sirets": [RENNES]}, "waiting_list": "none"}
    return a_roster(**({"capacity": 2} | private | session))


def sent(roster: SessionRoster, named: list[Agent], **changes: Any) -> tuple[Nomination, NominationAnswered]:
    """The list, and what its officer is told of it."""
    request = a_nomination(roster, named, nominated_by=OFFICER, **changes)
    decided(roster, request)
    notice = roster.notices[-1]
    assert isinstance(notice, NominationAnswered)
    return request, notice


def test_each_of_the_list_is_told_with_who_has_no_seat_and_why() -> None:
    roster, named = a_private_session(), agents(3)
    request, notice = sent(roster, named)
    assert (notice.request_id, notice.nominated_by) == (request.request_id, OFFICER)
    assert [(trainee.outcome, trainee.reason) for trainee in notice.trainees] == [
        (SEAT, None),
        (SEAT, None),
        (REFUSED, Reason.SESSION_FULL),
    ]
    ids = [roster.latest[agent.key].enrolment_id for agent in named]
    assert [trainee.enrolment_id for trainee in notice.trainees] == ids


def test_a_list_that_changes_nothing_is_answered_too_and_each_list_once() -> None:
    roster, named = a_private_session(), agents(2)
    sent(roster, named)
    _, notice = sent(roster, named)
    assert [trainee.outcome for trainee in notice.trainees] == [SEAT, SEAT]
    assert len(roster.notices) == 2


def test_who_the_newer_list_leaves_out_is_told_apart() -> None:
    roster, (first, second, third) = a_private_session(), agents(3)
    sent(roster, [first, second])
    _, notice = sent(roster, [first, third])
    assert notice.replaced == (roster.latest[second.key].enrolment_id,)
    assert [trainee.outcome for trainee in notice.trainees] == [SEAT, SEAT]


def test_an_authority_for_which_the_session_is_not_is_told_so() -> None:
    roster = a_private_session()
    _, notice = sent(roster, [an_agent_of(NANTES)], siret=NANTES)
    [trainee] = notice.trainees
    assert (trainee.outcome, trainee.reason) == (REFUSED, Reason.NOT_ELIGIBLE)


def test_a_list_for_which_the_session_is_not_is_the_newest_of_none() -> None:
    """Each is refused, whichever is read first: none has an effect that another could undo."""
    roster, later = a_private_session(), EARLIEST + timedelta(days=1)
    sent(roster, [an_agent_of(NANTES)], siret=NANTES, received_at=later)
    assert roster.last_nominations == {}
    _, notice = sent(roster, [an_agent_of(NANTES)], siret=NANTES, received_at=EARLIEST)
    assert [trainee.reason for trainee in notice.trainees] == [Reason.NOT_ELIGIBLE]
    assert len(roster.notices) == 2


def test_it_names_no_trainee() -> None:
    roster, [agent] = a_private_session(), agents(1)
    _, notice = sent(roster, [agent])
    assert agent.family_name not in notice.model_dump_json()
    assert agent.email not in notice.model_dump_json()


def test_a_list_of_before_without_its_officer_tells_nobody() -> None:
    roster = a_private_session()
    decided(roster, a_nomination(roster, agents(1)))
    assert roster.notices == []
