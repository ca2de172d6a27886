"""The sender of a list of trainees learns the outcome of each trainee, once per list (rule 14)."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.enrolment.rules.session_roster import SessionRoster
from shared.events.enrolment import NominationAnswered
from shared.events.reasons import Reason
from shared.events.vocabulary import EARLIEST, Agent, Contact, Limits
from tests.support.rosters import NANTES, RENNES, a_nomination, a_roster, agents, an_agent_of, decided

OFFICER = Contact(name="Marie Le Bihan", email="formation@ville-exemple.fr")
SEAT = ("enrolled", None)


def a_private_session() -> SessionRoster:
    audience = {"sirets": [RENNES]}
    return a_roster(format="bespoke", audience=audience, waiting_list="none", capacity=2)


def sent(
    roster: SessionRoster, named: list[Agent], siret: str = RENNES, at: datetime | None = None
) -> NominationAnswered:
    """Send a list; return the answers to its officer."""
    before = len(roster.notices)
    decided(roster, a_nomination(roster, named, siret=siret, received_at=at, nominated_by=OFFICER))
    [notice] = roster.notices[before:]
    assert isinstance(notice, NominationAnswered)
    return notice


def outcomes(notice: NominationAnswered) -> list[tuple[str, Reason | None]]:
    return [(trainee.outcome, trainee.reason) for trainee in notice.trainees]


def test_each_of_the_list_is_told_with_the_refused_and_their_reason() -> None:
    roster, named = a_private_session(), agents(3)
    notice = sent(roster, named)
    assert notice.nominated_by == OFFICER
    assert outcomes(notice) == [SEAT, SEAT, ("refused", Reason.SESSION_FULL)]
    ids = [roster.latest[agent.key].enrolment_id for agent in named]
    assert [trainee.enrolment_id for trainee in notice.trainees] == ids
    assert notice.request_id == roster.results[-1].request.request_id


def test_a_list_that_changes_nothing_is_answered_too() -> None:
    roster, named = a_private_session(), agents(2)
    sent(roster, named)
    assert outcomes(sent(roster, named)) == [SEAT, SEAT]


def test_agents_whom_the_newer_list_leaves_out_are_told_apart() -> None:
    roster, (first, second, third) = a_private_session(), agents(3)
    sent(roster, [first, second])
    notice = sent(roster, [first, third])
    assert notice.replaced == (roster.latest[second.key].enrolment_id,)
    assert outcomes(notice) == [SEAT, SEAT]


def test_a_list_of_an_authority_for_which_the_session_is_not_never_counts_as_the_newest() -> None:
    roster, later = a_private_session(), EARLIEST + timedelta(days=1)
    for received_at in (later, EARLIEST):
        notice = sent(roster, [an_agent_of(NANTES)], NANTES, received_at)
        assert outcomes(notice) == [("refused", Reason.NOT_ELIGIBLE)]
    assert roster.last_nominations == {}


def test_of_an_agent_beyond_the_limits_of_its_portal_the_sender_hears_the_refusal_alone() -> None:
    """The letter names the person of each enrolment in the notice."""
    roster = a_roster(format="bespoke", audience={"sirets": [RENNES, NANTES]})
    anothers = an_agent_of(siret=NANTES)
    sent(roster, [anothers], NANTES)
    claimed = anothers.model_copy(update={"employer": an_agent_of().employer})
    nomination = a_nomination(roster, [claimed], nominated_by=OFFICER)
    decided(roster, replace(nomination, limits=Limits(sirets=frozenset({RENNES}))))
    notice = roster.notices[-1]
    assert isinstance(notice, NominationAnswered)
    assert outcomes(notice) == [("refused", Reason.ALREADY_ENROLLED)]
    assert notice.trainees[0].enrolment_id != roster.latest[anothers.key].enrolment_id


def test_the_notice_names_no_trainee() -> None:
    [agent] = agents(1)
    written = sent(a_private_session(), [agent]).model_dump_json()
    assert agent.family_name not in written
    assert agent.email not in written


def test_a_list_of_before_without_its_officer_tells_nobody() -> None:
    roster = a_private_session()
    decided(roster, a_nomination(roster, agents(1)))
    assert roster.notices == []
