"""Lists of trainees that an authority sends for its private session (rule 14)."""

from collections.abc import Sequence

from services.enrolment.rules.eligibility import judge_withdrawal, takes_nominations
from services.enrolment.rules.enrolments import Enrolment, new_enrolment
from services.enrolment.rules.promotion import promote
from services.enrolment.rules.requests import (
    Nomination,
)
from services.enrolment.rules.seat_requests import StateAndReason, agents_once, grant, judge_trainee
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import (
    EnrolmentWithdrawn,
    NominatedTrainee,
    NominationAnswered,
    NominationOutcome,
    WithdrawnBy,
)
from shared.events.vocabulary import EARLIEST


def is_outdated(roster: SessionRoster, request: Nomination) -> bool:
    """Return whether a newer list was processed: an operator may redrive an old one."""
    newest = (roster.last_nominations.get(sender, EARLIEST) for sender in _senders(request))
    return takes_nominations(roster.session, request.siret) and any(
        request.received_at < received_at for received_at in newest
    )


def keep_as_newest(roster: SessionRoster, request: Nomination) -> None:
    if takes_nominations(roster.session, request.siret):
        roster.last_nominations |= dict.fromkeys(_senders(request), request.received_at)


def _senders(request: Nomination) -> set[tuple[str, str]]:
    return {(request.siret, agent.issuer) for agent in request.agents}


def leaving_by(roster: SessionRoster, request: Nomination) -> list[Enrolment]:
    session, named = roster.session, set(request.agent_keys)
    if not takes_nominations(session, request.siret):
        return []
    issuers = {agent.issuer for agent in request.agents}
    return [
        enrolment
        for enrolment in roster.latest.values()
        if enrolment.agent.key not in named
        and request.limits.allow(enrolment.agent.employer)
        and enrolment.agent.issuer in issuers
        and enrolment.agent.employer.siret == request.siret
        and judge_withdrawal(session, enrolment, request.received_at) is None
    ]


def nominate(
    roster: SessionRoster, request: Nomination, leaving: Sequence[Enrolment]
) -> list[StateAndReason]:
    """Apply the complete list: missing agents leave, new agents get a seat.

    After the close of enrolment the list may not grow. Until the start, each new agent replaces an agent who
    leaves now or left since the close.
    """
    session = roster.session
    for enrolment in leaving:
        ended = roster.move(enrolment, State.WITHDRAWN, Cause.REPLACED)
        # The request does not name these agents, so the event does not carry the request's id.
        roster.publish(EnrolmentWithdrawn(**roster.members(ended), by=WithdrawnBy.EMPLOYER))
    if request.received_at >= session.enrolment_closes_at:
        roster.vacancies[request.siret] += len(leaving)
    outcomes = []
    for agent in agents_once(request):
        latest = roster.latest_for(request, agent.key)
        is_live = latest is not None and latest.state.is_live
        if is_live and agent.employer.siret == request.siret and takes_nominations(session, request.siret):
            continue  # this agent has a seat or waits already: nothing changes
        outcomes.append(grant(roster, request, agent, judge_trainee(roster, request, agent, request.siret)))
    promote(roster)
    return outcomes


def acknowledge(roster: SessionRoster, request: Nomination, left: Sequence[Enrolment]) -> None:
    """Tell the sender the result for each trainee (rule 14)."""
    if request.nominated_by is None:
        return
    trainees = []
    for agent in agents_once(request):
        enrolment = roster.latest_for(request, agent.key)
        if enrolment is None:  # the sender may not hear of the live one
            enrolment = roster.changed[new_enrolment(request, agent, State.REFUSED).enrolment_id]
        outcome = _OUTCOME_OF_TRAINEE.get(enrolment.state, NominationOutcome.REFUSED)
        if enrolment.state.has_seat:
            outcome = NominationOutcome.ENROLLED
        trainees.append(
            NominatedTrainee(enrolment_id=enrolment.enrolment_id, outcome=outcome, reason=enrolment.reason)
        )
    roster.notices.append(
        NominationAnswered(
            request_id=request.request_id,
            request_source=request.source or None,
            session_id=request.session_id,
            session_version=roster.session.version,
            nominated_by=request.nominated_by,
            trainees=tuple(trainees),
            replaced=tuple(enrolment.enrolment_id for enrolment in left),
        )
    )


_OUTCOME_OF_TRAINEE = {
    State.WAITLISTED: NominationOutcome.WAITLISTED,
    State.OFFERED: NominationOutcome.OFFERED,
    State.PENDING_APPROVAL: NominationOutcome.PENDING,
    State.PENDING_SELECTION: NominationOutcome.PENDING,
}
