"""Admission: which records on ``portal.*`` are requests that their portal may make.

Every record of a portal becomes a request, or a rejection that says why. Nothing here does I/O. A rejection
does not depend on what the services know of agents, so it reveals nothing about them.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from stdnum.fr import siret

from shared.events.cloudevents import (
    MAX_VALUES,
    Envelope,
    Received,
    Record,
    Unreadable,
    read_envelope,
    read_event,
    strict_json,
)
from shared.events.index import BY_TYPE
from shared.events.outcomes import RejectionCode
from shared.events.portal import (
    EVENTS,
    MAX_GROUP,
    AgentCorrected,
    AgentErasureRequested,
    BespokeTrainingRequested,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    SubscriptionChanged,
    TraineesNominated,
)
from shared.events.vocabulary import NO_LIMITS, Delegation, Employer, Event, FieldProblem
from shared.messaging.portals.registry import INTAKE_KEY_ID, OWN_SOURCES, Portal, Portals, PortalsFile
from shared.messaging.portals.signatures import SignedAttributes, is_signature_of

MAX_BYTES = 2 * 1024 * 1024
"""Bytes of a record's value, uncompressed. A group of 500 with names of 100 characters fits."""
MOST_PROBLEMS = 20
"""Mistakes that a rejection names: those of 500 agents would be a hundred times as large as their request."""
WINDOW = timedelta(days=7)
"""The longest time between ``ce_time`` and receipt. The inbox remembers longer, so it recognises a replay."""
ACCEPTED_WINDOW = timedelta(days=60)
"""An outbox may hold requests by HTTP this long; their ``ce_time`` is the receipt."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_QUOTED = 40
_DELEGATIONS = frozenset(Delegation)
_NO_SIRET = "is not a SIRET: its check digit does not fit"
_NO_DELEGATION = "is no delegation's code"
_TOO_LARGE = f"The value has more than {MAX_BYTES} bytes."
_NO_TYPE = "ce_type is no type that portals send; is it misspelt? See /asyncapi/portal."
_NOT_THEIRS = "is none of those that this portal may speak for"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record without effect, and why. ``portal`` is notified; None if no known portal sent it.

    ``request_id`` is its ``ce_id``, if readable. ``event_type`` and ``source`` are as the record has them.
    """

    record: Record
    code: RejectionCode
    problems: tuple[FieldProblem, ...]
    portal: str | None
    request_id: UUID | None = None
    event_type: str | None = None
    source: str | None = None

    @property
    def explanation(self) -> str:
        listed = "; ".join(f"{problem.pointer} {problem.message}".lstrip() for problem in self.problems)
        return f"{self.code}: {listed}"


def rejected(received: Received[Event], code: RejectionCode, why: str) -> Rejected:
    """Reject an admitted record that its handler may not take."""
    return Rejected(
        received.record,
        code,
        (FieldProblem(pointer="", message=why),),
        portal=received.portal,
        request_id=received.id,
        event_type=received.event.TYPE,
        source=received.source,
    )


class _Rejection(Exception):
    def __init__(self, code: RejectionCode, *problems: FieldProblem) -> None:
        super().__init__(code)
        self.code = code
        self.problems = problems[:MOST_PROBLEMS]


def admit(record: Record, portals: Portals, intake_keys: Sequence[bytes]) -> Received[Event] | Rejected:
    """Read a record on a topic of portals, whatever it contains, without raising.

    ``intake_keys`` are the keys of the services, for requests by HTTP and for their own requests. Only a
    service's own request names the issuer of an agent's id in its data.
    """
    try:
        _check_size(record)
    except _Rejection as rejection:
        return _unread(record, rejection, portals)
    try:
        envelope = read_envelope(record)
    except Unreadable as error:
        return _unreadable(record, error, portals.of_source(error.attributes.get("source", "")))
    portal = portals.of_source(envelope.source)
    try:
        if portal is None and not _says_to_be_ours(envelope):
            raise _because(RejectionCode.UNKNOWN_PORTAL, "ce_source is that of no portal: /portals/<name>.")
        return _admit(_authenticated(record, envelope, portal, intake_keys), envelope, portal)
    except _Rejection as rejection:
        return _rejected(record, envelope, rejection, portal)


def admit_by_token(record: Record, portal: Portal) -> Received[Event] | Rejected:
    """Read what a portal identified by token sent by HTTP, without raising.

    The result has the topic of its type, whatever the topic of ``record``.
    """
    try:
        envelope = read_envelope(record)
    except Unreadable as error:
        return _unreadable(record, error, portal)
    try:
        _check_size(record)
        _check_headers(record)
        _check_json(envelope)
        if envelope.source != portal.source:
            raise _because(
                RejectionCode.NOT_AUTHENTICATED,
                "ce_source is not that of the token's portal: /portals/<name>.",
            )
        contract = BY_TYPE.get(envelope.event_type)
        if contract is None or contract not in EVENTS:
            raise _because(RejectionCode.UNKNOWN_TYPE, _NO_TYPE)
        received = _admit(replace(record, topic=contract.TOPIC), envelope, portal)
        # The service writes the event again, with the issuer of each agent.
        if len(received.event.model_dump_json().encode()) > MAX_BYTES:
            raise _because(RejectionCode.TOO_LARGE, _TOO_LARGE)
        return received
    except _Rejection as rejection:
        return _rejected(record, envelope, rejection, portal)


def _unread(record: Record, why: _Rejection, portals: Portals) -> Rejected:
    """Reject a record whose value is too large to be read. Its headers may name the sender."""
    try:
        envelope = read_envelope(replace(record, value=b"{}"))
    except Unreadable:
        return Rejected(record, why.code, why.problems, portal=None)
    return _rejected(record, envelope, why, portals.of_source(envelope.source))


def _unreadable(record: Record, error: Unreadable, portal: Portal | None) -> Rejected:
    return Rejected(
        record,
        RejectionCode.UNREADABLE,
        (FieldProblem(pointer="", message=str(error)),),
        portal=None if portal is None else portal.portal,
        request_id=_uuid(error.attributes.get("id")),
        event_type=error.event_type,
        source=error.attributes.get("source"),
    )


def _rejected(record: Record, envelope: Envelope, why: _Rejection, portal: Portal | None) -> Rejected:
    return Rejected(
        record,
        why.code,
        why.problems,
        portal=None if portal is None else portal.portal,
        request_id=envelope.event_id,
        event_type=envelope.event_type,
        source=envelope.source,
    )


class Admission:
    """Reads the records of portals by the current registry."""

    def __init__(self, registry: PortalsFile, intake_keys: Sequence[bytes]) -> None:
        self._registry = registry
        self._intake_keys = intake_keys

    def __call__(self, record: Record) -> Received[Event] | Rejected:
        return admit(record, self._registry.portals, self._intake_keys)


def _admit(record: Record, envelope: Envelope, portal: Portal | None) -> Received[Event]:
    """``portal`` is None for our own service. Raises :class:`_Rejection`."""
    try:
        received = read_event(record, envelope, None if portal is None else portal.sender)
    except Unreadable as error:
        if not error.problems:
            raise _because(RejectionCode.INVALID, str(error)) from None
        known = {problem.pointer for problem in error.problems}
        more = [problem for problem in _mistakes(_named_in(envelope.data)) if problem.pointer not in known]
        raise _Rejection(RejectionCode.INVALID, *error.problems, *more) from None
    if received is None:
        raise _because(RejectionCode.UNKNOWN_TYPE, _NO_TYPE)
    employers = list(_employers(received.event))
    problems = tuple(_mistakes(_named_by(received.event, employers)))
    if problems:
        raise _Rejection(RejectionCode.INVALID, *problems)
    if portal is not None and portal.limits != NO_LIMITS:
        foreign = tuple(_not_theirs(received.event, employers, portal))
        if foreign:
            raise _Rejection(RejectionCode.NOT_YOURS, *foreign)
    return received


def _check_json(envelope: Envelope) -> None:
    try:
        strict_json(envelope.data)
    except ValueError as error:
        raise _because(RejectionCode.INVALID, f"The data {error}.") from None


def _check_size(record: Record) -> None:
    value = record.value or b""
    if len(value) > MAX_BYTES:
        raise _because(RejectionCode.TOO_LARGE, _TOO_LARGE)
    if value.count(b",") > MAX_VALUES:
        raise _because(RejectionCode.INVALID, f"The data has more than {MAX_VALUES} values.")


# ---------------------------------------------------------------------------------------- who sent it


def _says_to_be_ours(envelope: Envelope) -> bool:
    """Only the signature shows whether the claim is true."""
    return envelope.source.startswith(OWN_SOURCES) and envelope.headers.get("ce_keyid") == INTAKE_KEY_ID


def _authenticated(
    record: Record, envelope: Envelope, portal: Portal | None, intake_keys: Sequence[bytes]
) -> Record:
    """Return the record with its time of receipt."""
    if portal is None or envelope.headers.get("ce_keyid") == INTAKE_KEY_ID:
        return replace(record, received_at=_accepted_at(record, envelope, intake_keys))
    if portal.authentication == "signature":
        _check_portals_signature(record, envelope, portal)
    return record


def _check_portals_signature(record: Record, envelope: Envelope, portal: Portal) -> None:
    key = portal.key_of_id(envelope.headers.get("ce_keyid") or "", record.received_at)
    sent_at = _check_signature(record, envelope, [] if key is None else [key.key])
    _check_window(record, sent_at, WINDOW)


def _accepted_at(record: Record, envelope: Envelope, intake_keys: Sequence[bytes]) -> datetime:
    accepted_at = _check_signature(record, envelope, intake_keys)
    _check_window(record, accepted_at, ACCEPTED_WINDOW)
    return accepted_at


def _check_window(record: Record, sent_at: datetime, window: timedelta) -> None:
    if abs(record.received_at - sent_at) > window:
        raise _because(RejectionCode.NOT_AUTHENTICATED, f"ce_time is more than {window.days} days away.")


def _check_signature(record: Record, envelope: Envelope, keys: Sequence[bytes]) -> datetime:
    """Return the ``ce_time``, which is signed too."""
    _check_headers(record)
    attributes = envelope.attributes
    signed = SignedAttributes(
        attributes["id"], attributes["source"], attributes["type"], attributes.get("time", "")
    )
    if not f"{signed.event_id}{signed.source}{signed.event_type}{signed.time}".isprintable():
        raise _because(RejectionCode.INVALID, "An attribute has control characters.")
    key_id, signature = envelope.headers.get("ce_keyid"), envelope.headers.get("ce_signature")
    if not key_id or not signature:
        raise _because(
            RejectionCode.NOT_AUTHENTICATED, "The headers ce_keyid and ce_signature are needed, once each."
        )
    if not any(is_signature_of(signature, key, key_id, signed, record.value or b"") for key in keys):
        raise _because(
            RejectionCode.NOT_AUTHENTICATED,
            "No valid key of the portal made this signature for this id, source, type, time and value.",
        )
    sent_at = _moment(signed.time)
    if sent_at is None:
        raise _because(RejectionCode.NOT_AUTHENTICATED, "ce_time is needed, in RFC 3339, with its offset.")
    return sent_at


def _check_headers(record: Record) -> None:
    names = [name.lower() for name, _ in record.headers]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _because(RejectionCode.INVALID, f"The header {_printable(twice)} is given twice.")
    if any(value is not None and _CONTROL.search(value) for _, value in record.headers):
        raise _because(RejectionCode.INVALID, "A header has control characters.")


def _moment(time: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


# ------------------------------------------------------------------------------------- whom it is about


_Employers = Sequence[tuple[str, Employer]]


def _mistakes(named: Iterable[tuple[str, object]]) -> Iterator[FieldProblem]:
    """Yield mistakes that the contract's schema allows."""
    for pointer, text in named:
        if pointer.endswith("/siret") and isinstance(text, str) and not _is_siret(text):
            yield FieldProblem(pointer=pointer, message=_NO_SIRET)
        if pointer.endswith("/delegation") and isinstance(text, str) and text not in _DELEGATIONS:
            yield FieldProblem(pointer=pointer, message=_NO_DELEGATION)


def _named_by(event: Event, employers: _Employers) -> Iterator[tuple[str, object]]:
    for pointer, employer in employers:
        yield f"{pointer}/siret", employer.siret
        yield f"{pointer}/delegation", employer.delegation
    if isinstance(event, BespokeTrainingRequested | TraineesNominated):
        yield "/siret", event.siret
    if isinstance(event, BespokeTrainingRequested):
        yield "/delegation", event.delegation


def _named_in(data: bytes) -> Iterator[tuple[str, object]]:
    """Yield the employers' SIRETs and delegations in data that break their contract elsewhere."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # it has no fields, and the portal is told why
        return
    if not isinstance(found, dict):
        return
    agents = found.get("agents")
    listed = enumerate(agents[:MAX_GROUP] if isinstance(agents, list) else ())
    holders = [("", found if "agent_id" not in found else None), ("/agent/employer", found.get("agent"))]
    holders += [(f"/agents/{number}/employer", agent) for number, agent in listed]
    for pointer, holder in holders:
        employer = holder.get("employer") if pointer and isinstance(holder, dict) else holder
        if isinstance(employer, dict):
            for name in ("siret", "delegation"):
                yield f"{pointer}/{name}", employer.get(name)


@functools.lru_cache(maxsize=50_000)
def _is_siret(number: str) -> bool:
    return siret.is_valid(number)


def _not_theirs(event: Event, employers: _Employers, portal: Portal) -> Iterator[FieldProblem]:
    for pointer, employer in employers:
        if not portal.limits.allow(employer):
            yield FieldProblem(pointer=pointer, message=_NOT_THEIRS)
    if isinstance(event, BespokeTrainingRequested | TraineesNominated) and (
        portal.sirets is not None and event.siret not in portal.sirets
    ):
        yield FieldProblem(pointer="/siret", message=_NOT_THEIRS)
    if isinstance(event, BespokeTrainingRequested) and (
        portal.delegations is not None and event.delegation not in portal.delegations
    ):
        yield FieldProblem(pointer="/delegation", message=_NOT_THEIRS)
    if isinstance(event, SubscriptionChanged | AgentCorrected | AgentErasureRequested):
        # A request without an employer does not show whether the portal may act for the agent.
        yield FieldProblem(pointer="/agent_id", message=_NOT_THEIRS)


def _employers(event: Event) -> Iterator[tuple[str, Employer]]:
    match event:
        case EnrolmentRequested():
            yield "/agent/employer", event.agent.employer
        case GroupEnrolmentRequested() | TraineesNominated():
            for number, agent in enumerate(event.agents):
                yield f"/agents/{number}/employer", agent.employer
        case _:
            return


def _printable(text: str) -> str:
    return text[:_QUOTED].encode("unicode_escape").decode()


def _because(code: RejectionCode, message: str) -> _Rejection:
    return _Rejection(code, FieldProblem(pointer="", message=message))


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
