"""Admission: which of the records on ``portal.*`` are requests that their portal may make.

Every record of a portal becomes a request, or a rejection that says why. Nothing here does I/O, and nothing
of a rejection depends on what the services know of agents: it gives a hint of nobody.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from stdnum.fr import siret

from shared.events import Event
from shared.events.cloudevents import Envelope, Received, Record, Unreadable, read_envelope, read_event
from shared.events.outcomes import RejectionCode
from shared.events.portal import (
    BespokeTrainingRequested,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    TraineesNominated,
)
from shared.events.vocabulary import Agent, Delegation, Employer, FieldProblem
from shared.messaging.portals.registry import INTAKE_KEY_ID, Portal, Portals
from shared.messaging.portals.signatures import SignedAttributes, is_signature_of

MOST_BYTES = 2 * 1024 * 1024
"""Of a record's value, uncompressed: a group of 500 with names of 100 characters fits."""
WINDOW = timedelta(days=7)
"""How far ``ce_time`` may lie from the receipt. The inbox remembers longer: what is sent again is known."""

_SIGNED = ("id", "source", "type", "time")
_DELEGATIONS = frozenset(Delegation)
_NO_SIRET = "is not a SIRET: its check digit does not fit"
_NO_DELEGATION = "is no delegation's code"
_NOT_THEIRS = "is none of those that this portal may speak for"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that has no effect, and why. ``portal`` is who hears it; None: nobody we know sent it.

    ``request_id`` is its ``ce_id``, where that could be read; ``event_type`` is what it says of itself.
    """

    record: Record
    code: RejectionCode
    problems: tuple[FieldProblem, ...]
    portal: str | None
    request_id: UUID | None = None
    event_type: str | None = None


class _Rejection(Exception):
    def __init__(self, code: RejectionCode, *problems: FieldProblem) -> None:
        super().__init__(code)
        self.code = code
        self.problems = problems


def admit(record: Record, portals: Portals, intake_key: bytes | None) -> Received[Event] | Rejected:
    """Read a record on a topic of portals, whatever it holds, without raising.

    ``intake_key`` is the key that the services sign with for what came by HTTP.
    """
    try:
        envelope = read_envelope(record)
    except Unreadable as error:
        portal = portals.of_source(error.attributes.get("source", ""))
        problem = FieldProblem(pointer="", message=str(error))
        return Rejected(
            record,
            RejectionCode.UNREADABLE,
            (problem,),
            portal=None if portal is None else portal.portal,
            request_id=_uuid(error.attributes.get("id")),
            event_type=error.event_type,
        )
    portal = portals.of_source(envelope.source)
    try:
        if portal is None:
            raise _because(RejectionCode.UNKNOWN_PORTAL, "ce_source is that of no portal: /portals/<name>.")
        return _admit(record, envelope, portal, intake_key)
    except _Rejection as rejection:
        return Rejected(
            record,
            rejection.code,
            rejection.problems,
            portal=None if portal is None else portal.portal,
            request_id=envelope.event_id,
            event_type=envelope.event_type,
        )


def _admit(record: Record, envelope: Envelope, portal: Portal, intake_key: bytes | None) -> Received[Event]:
    if len(record.value or b"") > MOST_BYTES:
        raise _because(RejectionCode.TOO_LARGE, f"The value has more than {MOST_BYTES} bytes.")
    if portal.authentication == "signature" or _header(record, "ce_keyid") == INTAKE_KEY_ID:
        _check_signature(record, envelope, portal, intake_key)
    try:
        received = read_event(record, envelope)
    except Unreadable as error:
        raise _Rejection(
            RejectionCode.INVALID, *(error.problems or [FieldProblem(pointer="", message=str(error))])
        ) from None
    if received is None:
        raise _because(
            RejectionCode.UNKNOWN_TYPE, "ce_type is no type that portals send; is it misspelt? See /asyncapi."
        )
    problems = tuple(_mistakes(received.event))
    if problems:
        raise _Rejection(RejectionCode.INVALID, *problems)
    foreign = tuple(_not_theirs(received.event, portal))
    if foreign:
        raise _Rejection(RejectionCode.NOT_YOURS, *foreign)
    return replace(received, portal=portal.portal, issuer=portal.issuer)


# ---------------------------------------------------------------------------------------- who sent it


def _check_signature(record: Record, envelope: Envelope, portal: Portal, intake_key: bytes | None) -> None:
    names = [name.lower() for name, _ in record.headers if name.lower().startswith("ce_")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _because(RejectionCode.INVALID, f"The header {twice[0]} is given twice.")
    signed = SignedAttributes(*(envelope.attributes.get(name, "") for name in _SIGNED))
    if any(not character.isprintable() for text in _texts(signed) for character in text):
        raise _because(RejectionCode.INVALID, "An attribute has control characters.")
    key_id, signature = _header(record, "ce_keyid"), _header(record, "ce_signature")
    if not key_id or not signature:
        raise _because(
            RejectionCode.NOT_AUTHENTICATED, "The headers ce_keyid and ce_signature are needed, once each."
        )
    if key_id == INTAKE_KEY_ID:
        key = intake_key
    else:
        found = portal.key_of_id(key_id, record.received_at)
        key = None if found is None else found.key
    if key is None or not is_signature_of(signature, key, key_id, signed, record.value or b""):
        raise _because(
            RejectionCode.NOT_AUTHENTICATED,
            "The signature is not that of this id, source, type, time and value by a valid key of it.",
        )
    if key_id != INTAKE_KEY_ID and not _is_recent(signed.time, record.received_at):
        raise _because(
            RejectionCode.NOT_AUTHENTICATED,
            f"ce_time is needed, in RFC 3339, and lies within {WINDOW.days} days of the receipt.",
        )


def _texts(signed: SignedAttributes) -> tuple[str, ...]:
    return signed.event_id, signed.source, signed.event_type, signed.time


def _header(record: Record, name: str) -> str | None:
    """Return the header, None where it is absent or not UTF-8."""
    value = next((value for given, value in record.headers if given.lower() == name), None)
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _is_recent(time: str, received_at: datetime) -> bool:
    try:
        sent_at = datetime.fromisoformat(time)
    except ValueError:
        return False
    return sent_at.tzinfo is not None and abs(received_at - sent_at) <= WINDOW


# ------------------------------------------------------------------------------------- whom it is about


def _mistakes(event: Event) -> Iterator[FieldProblem]:
    """Yield what the contract's form lets pass and is wrong all the same."""
    for pointer, employer in _employers(event):
        if not siret.is_valid(employer.siret):
            yield FieldProblem(
                pointer=f"{pointer}/siret", message="is not a SIRET: its check digit does not fit"
            )
        if employer.delegation not in _DELEGATIONS:
            yield FieldProblem(pointer=f"{pointer}/delegation", message=_NO_DELEGATION)
    if isinstance(event, BespokeTrainingRequested | TraineesNominated) and not siret.is_valid(event.siret):
        yield FieldProblem(pointer="/siret", message=_NO_SIRET)
    if isinstance(event, BespokeTrainingRequested) and event.delegation not in _DELEGATIONS:
        yield FieldProblem(pointer="/delegation", message=_NO_DELEGATION)


def _not_theirs(event: Event, portal: Portal) -> Iterator[FieldProblem]:
    """Yield the agents and authorities that the portal may not speak for."""
    for pointer, employer in _employers(event):
        if not portal.may_speak_for(employer):
            yield FieldProblem(pointer=pointer, message=_NOT_THEIRS)
    if isinstance(event, BespokeTrainingRequested | TraineesNominated) and (
        portal.sirets is not None and event.siret not in portal.sirets
    ):
        yield FieldProblem(pointer="/siret", message=_NOT_THEIRS)
    if isinstance(event, BespokeTrainingRequested) and (
        portal.delegations is not None and event.delegation not in portal.delegations
    ):
        yield FieldProblem(pointer="/delegation", message=_NOT_THEIRS)


def _employers(event: Event) -> Iterator[tuple[str, Employer]]:
    for pointer, agent in _agents(event):
        yield f"{pointer}/employer", agent.employer


def _agents(event: Event) -> Iterator[tuple[str, Agent]]:
    match event:
        case EnrolmentRequested():
            yield "/agent", event.agent
        case GroupEnrolmentRequested() | TraineesNominated():
            for number, agent in enumerate(event.agents):
                yield f"/agents/{number}", agent
        case _:
            return


def _because(code: RejectionCode, message: str) -> _Rejection:
    return _Rejection(code, FieldProblem(pointer="", message=message))


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
