"""Who may do what. Each route names a row of this table, and docs/permissions.md shows it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum, unique
from typing import Any, TypeVar

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Role(StrEnum):
    ADMIN = "admin"
    ORGANISER = "organiser"
    SUPPORT = "support"


class Caller(StrEnum):
    """A caller without a role."""

    ANYBODY = "anybody"
    READER = "reader"
    """Has the signed link of a letter, or of a log-in that a letter has confirmed."""
    PORTAL = "portal"


class Scope(StrEnum):
    EVERYWHERE = "everywhere"
    DELEGATION = "delegation"
    """A grant that names a delegation counts there alone."""
    ALL_DELEGATIONS = "all delegations"
    """A grant that names a delegation does not count."""
    OWN = "own"
    """The agents of a portal's issuer, the enrolment, address or session of a link, or one's own log-ins."""
    TRIAL = "trial"
    """Only in a trial (``PARCOURS_TRIAL=1``), where everybody may be the trial's portal."""


_Callers = Mapping[Role | Caller, Scope]
_ADMIN_AND_SUPPORT = frozenset((Role.ADMIN, Role.SUPPORT))
_ALL_STAFF = frozenset(Role)
_NOBODY: frozenset[Role] = frozenset()
RECENT = timedelta(minutes=15)
"""Also the longest time that somebody who takes over an open browser has for a grave act."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """On pages, ``second_factor`` are the roles whose log-in must have one.

    With ``recent`` the person has proved who they are less than :data:`RECENT` ago.
    """

    action: str
    object: str
    callers: _Callers
    second_factor: frozenset[Role] = _ADMIN_AND_SUPPORT
    recent: bool = False


_ANYBODY: _Callers = {Caller.ANYBODY: Scope.EVERYWHERE}
_ORGANISERS: _Callers = {Role.ORGANISER: Scope.DELEGATION, Role.ADMIN: Scope.EVERYWHERE}
_ALL_ORGANISERS: _Callers = {Role.ORGANISER: Scope.ALL_DELEGATIONS, Role.ADMIN: Scope.EVERYWHERE}
_PORTALS: _Callers = {Caller.PORTAL: Scope.OWN, Role.ADMIN: Scope.EVERYWHERE}
_SUPPORT: _Callers = {Role.SUPPORT: Scope.EVERYWHERE, Role.ADMIN: Scope.EVERYWHERE}


@unique
class Permission(Enum):
    READ_OFFER = _Rule("read", "the published offer, and the documents of the API", _ANYBODY)
    READ_HEALTH = _Rule("read", "health and metrics, where the gateway lets them through", _ANYBODY)
    ASK_FOR_LETTER = _Rule(
        "ask for", "a subscription, or the letter with a link to one's enrolments", _ANYBODY
    )
    VERIFY_CERTIFICATE = _Rule("verify", "a certificate by its code", _ANYBODY)
    LOG_IN = _Rule("log in to", "an area of pages, or one's enrolments", _ANYBODY)
    FOLLOW_LINK = _Rule("see and do", "what the link of a letter is for", {Caller.READER: Scope.OWN})
    SEND_EVENTS = _Rule(
        "send", "requests of agents", {Caller.PORTAL: Scope.OWN, Role.ADMIN: Scope.TRIAL}, _NOBODY
    )
    READ_ANSWERS = _Rule(
        "read",
        "answers to requests, and enrolments of an agent",
        _PORTALS,
        _NOBODY,
    )
    READ_REQUEST = _Rule(
        "read",
        "what became of a request",
        {**_PORTALS, Caller.ANYBODY: Scope.TRIAL},
        _NOBODY,
    )
    MANAGE_OFFER = _Rule(
        "create, change, publish, cancel", "sessions, resources, answers to authorities", _ORGANISERS
    )
    CHANGE_OFFERS = _Rule("create, change, withdraw", "offers", _ALL_ORGANISERS)
    CANCEL_SESSION = _Rule("cancel", "a session, on a page", _ORGANISERS, _ALL_STAFF, recent=True)
    MANAGE_ENROLMENTS = _Rule(
        "read and change", "enrolments, attendance, certificates, messages of a session", _ORGANISERS
    )
    CORRECT_PERSON = _Rule(
        "correct", "name and address of a person, on a page", _ORGANISERS, _ALL_STAFF, recent=True
    )
    EXPORT_MANY = _Rule(
        "export", "a file about more than 500 people, on a page", _ORGANISERS, _ALL_STAFF, recent=True
    )
    READ_FIGURES = _Rule("read", "figures of a delegation, without names", _ORGANISERS)
    READ_ALL_FIGURES = _Rule("read", "figures of all delegations, without names", _SUPPORT)
    READ_MAILS = _Rule("find and read", "people, their story and their letters", _SUPPORT)
    SEND_AGAIN = _Rule("send again, or settle", "a letter", _SUPPORT)
    CORRECT_ADDRESS = _Rule("correct", "the address of a person", _SUPPORT, recent=True)
    EXPORT_PERSON = _Rule("export", "all that is kept of a person", _SUPPORT, recent=True)
    ERASE = _Rule("ask for", "the erasure of a person", _SUPPORT, recent=True)
    DECIDE_DEAD_LETTERS = _Rule("read and decide about", "dead letters", _SUPPORT)
    READ_STATE = _Rule("read", "the state of a service", {Role.ADMIN: Scope.EVERYWHERE})
    END_LOG_INS = _Rule("end", "one's log-ins", dict.fromkeys(Role, Scope.OWN), _NOBODY, recent=True)

    def allows(self, role: Role, delegation: str | None, *, trial: bool) -> bool:
        """``DELEGATION`` is checked where the data is read (``Principal.finds``)."""
        match self.value.callers.get(role):
            case Scope.EVERYWHERE | Scope.DELEGATION | Scope.OWN:
                return True
            case Scope.ALL_DELEGATIONS:
                return delegation is None
            case Scope.TRIAL:
                return trial
            case _:
                return False

    def needs_second_factor(self, role: Role) -> bool:
        return role in self.value.second_factor

    @property
    def is_recent(self) -> bool:
        return self.value.recent

    @property
    def roles(self) -> frozenset[Role]:
        return frozenset(caller for caller in self.value.callers if isinstance(caller, Role))


WITHIN_DELEGATION = frozenset(
    caller
    for permission in Permission
    for caller, scope in permission.value.callers.items()
    if scope in (Scope.DELEGATION, Scope.ALL_DELEGATIONS)
)
"""Only these roles can be limited to a delegation. All their rows say so, and the services enforce it."""


def has_row(permission: Permission) -> Callable[[Endpoint], Endpoint]:
    """Name the row of an endpoint, or of the dependency that checks it."""

    def named(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, "permission", permission)  # noqa: B010 mypy knows no attributes of functions
        return endpoint

    return named
