"""Corrections of agents' addresses and names, in every enrolment and with a history.

A request that was received before a correction and is decided later uses the corrected data:
``store.requests``.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from uuid import UUID, uuid4

from services.enrolment.rules.links import held_after
from services.enrolment.rules.organising import judge_correction
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import AgentCorrection
from services.enrolment.service.enrolments import LineInSession, find_own, own_as_seen
from services.enrolment.service.failures import ChangedMeanwhile, NotFound, NotPossible
from services.enrolment.store import address_holds, corrections, roster_lines, sessions
from services.enrolment.store.corrections import THE_AGENT, CorrectionRequest
from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.corrections import RECENT_CORRECTION, changes
from shared.events.enrolment import MAX_CONFIRMING, AgentDetailsCorrected
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import AgentKey, Event
from shared.messaging.erasure import agent_of
from shared.messaging.outbox import OutboxEvent
from shared.web.links import CONFIRM_CORRECTION_FOR

_NOTHING: Mapping[str, str] = MappingProxyType({})


async def request(tx: Transaction, corrected: AgentCorrected) -> UUID:
    """Ask all services to correct an agent. Returns the request's id.

    The relay signs it. Without ``INTAKE_SIGNING_KEY`` the services reject it.
    """
    [request_id] = await OUTBOX.publish(tx, [corrected])
    return request_id


async def lock_sessions(tx: Transaction, received: Sequence[Received[Event]]) -> None:
    """Lock all sessions of the agents in these corrections and erasures.

    Then no decision with an old address is published after the correction. The order is that in which
    decisions lock sessions.
    """
    corrected = [
        request.event.agent_of(request.issuer)
        for request in received
        if isinstance(request.event, AgentCorrected) and changes(request.event)
    ]
    forgotten = [agent for request in received if (agent := agent_of(request)) is not None]
    await sessions.lock(tx, await corrections.sessions_of(tx, {*corrected, *forgotten}))


async def correct(tx: Transaction, received: Sequence[Received[Event]], now: datetime) -> None:
    """Apply corrections in order. The sessions are locked (:func:`lock_sessions`)."""
    for request in received:
        if isinstance(request.event, AgentCorrected) and (after := changes(request.event)):
            source, request_id = request.identity
            requested = CorrectionRequest(
                source, request_id, request.received_at, traceparent=request.traceparent
            )
            await _correct(tx, request.event.agent_of(request.issuer), after, requested, now)


async def correct_by_organiser(
    acting: Acting,
    enrolment_id: UUID,
    command: AgentCorrection,
    *,
    seen: Mapping[str, str] = _NOTHING,
    version: int | None = None,
) -> LineInSession:
    """``seen`` and ``version`` are what the organiser saw.

    All letters to an agent go to one address, so an organiser of only some of the agent's sessions may not
    change it. Raises ``NotFound``, ``ChangedMeanwhile``, ``NotPossible``.
    """
    own = await find_own(acting.tx, enrolment_id, acting.who)
    if own is None:
        raise NotFound(f"enrolment {enrolment_id}")
    agent = own.enrolment.agent.key
    locked = await sessions.lock(acting.tx, await corrections.sessions_of(acting.tx, [agent]))
    found = await own_as_seen(acting, enrolment_id, version)
    if any(getattr(found.enrolment.agent, name) != value for name, value in seen.items()):
        raise ChangedMeanwhile(enrolment_id)
    organisers = (session.state.organiser for session in locked.values())
    fault = judge_correction(organisers, acting.who.delegation)
    if fault is not None:
        raise NotPossible(fault)
    requested = CorrectionRequest("", uuid4(), acting.now, author=acting.who.name)
    await _correct(acting.tx, agent, command.changes, requested, acting.now)
    return await roster_lines.line_of(acting.tx, found.session.session_id, enrolment_id), found.session


async def lock_sessions_of(tx: Transaction, agent: AgentKey) -> None:
    await sessions.lock(tx, await corrections.sessions_of(tx, [agent]))


async def correct_by_agent(tx: Transaction, agent: AgentKey, after: dict[str, str], now: datetime) -> None:
    """The agent's sessions are locked."""
    await _correct(tx, agent, after, CorrectionRequest("", uuid4(), now, author=THE_AGENT), now)


async def _correct(
    tx: Transaction, agent: AgentKey, after: Mapping[str, str], requested: CorrectionRequest, now: datetime
) -> None:
    """Publish the correction if anything changes.

    A correction read after a newer one, for example redriven, only changes fields that the newer one leaves
    out. If a newer request describes the agent, its description wins.
    """
    newer = (await corrections.newer_than(tx, {agent: requested.at})).since(agent, requested.at)
    described = await corrections.described_since(tx, agent, requested.at)
    still_right = {name: described.get(name, value) for name, value in after.items() if name not in newer}
    # The agent's link came to the address, so its reports of failure may be forged.
    is_unreachable = requested.author != THE_AGENT and await address_holds.is_unreachable(
        tx, agent, since=now - RECENT_CORRECTION
    )
    before = await corrections.apply(tx, agent, still_right) if still_right else []
    await corrections.keep(tx, agent, requested, before=before, after=after)
    if not before:
        return
    may_confirm: frozenset[str] = frozenset()
    if "email" in still_right and not is_unreachable:
        replaced = frozenset(values["email"].lower() for values in before)
        may_confirm = await _hold(tx, agent, replaced, still_right["email"].lower(), now)
    event = AgentDetailsCorrected(
        **agent._asdict(),
        **still_right,
        corrected_at=requested.at,
        corrected_by=requested.by,
        held_until=now + CONFIRM_CORRECTION_FOR if may_confirm else None,
        may_confirm=tuple(sorted(may_confirm)[:MAX_CONFIRMING]),
    )
    await OUTBOX.publish(tx, [OutboxEvent(event, requested.traceparent)])


async def _hold(
    tx: Transaction, agent: AgentKey, replaced: frozenset[str], new: str, now: datetime
) -> frozenset[str]:
    """Let links to the new address change nothing for a day, unless a former address confirms.

    Returns the addresses whose readers may confirm.
    """
    if replaced == {new}:
        return frozenset()
    held = await address_holds.held(tx, agent, now)
    stay = held_after(held, replaced, new)
    await address_holds.end(tx, agent, held - stay)
    await address_holds.begin(tx, agent, stay, now + CONFIRM_CORRECTION_FOR)
    return stay
