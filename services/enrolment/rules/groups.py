from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.requests import GroupRequest, Nomination, RequestKey


class GroupKind(StrEnum):
    """The values are the names of requests."""

    GROUP = GroupRequest.__name__
    LIST = Nomination.__name__


@dataclass(frozen=True, slots=True)
class BegunTogether:
    enrolment: Enrolment
    kind: GroupKind


@dataclass(frozen=True, slots=True)
class Replaced:
    enrolment: Enrolment
    at: datetime
    by: RequestKey


@dataclass(frozen=True, slots=True)
class ReceivedList:
    """``authority`` is its name according to its trainees, or None if no trainee is known."""

    siret: str
    authority: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class EnrolledTogether:
    """The enrolments that one request for several agents began and ended.

    A list's ``members`` are the agents that it named first. Other agents stay with an earlier list.
    """

    kind: GroupKind
    received_at: datetime
    members: Sequence[Enrolment]
    replaced: Sequence[Enrolment]

    @property
    def employers(self) -> list[str]:
        return sorted({enrolment.agent.employer.name for enrolment in (*self.members, *self.replaced)})

    @property
    def waits_together(self) -> bool:
        return any(enrolment.waits_together and not enrolment.state.holds_seat for enrolment in self.members)


def enrolled_together(begun: Iterable[BegunTogether], replaced: Iterable[Replaced]) -> list[EnrolledTogether]:
    """Return the effect of each request, newest first.

    A list that only shortened the earlier one has no members. Its date is the end of the first enrolment
    that it ended.
    """
    members: dict[RequestKey, list[BegunTogether]] = {}
    left: dict[RequestKey, list[Replaced]] = {}
    for start in begun:
        members.setdefault(start.enrolment.request_key, []).append(start)
    for end in replaced:
        left.setdefault(end.by, []).append(end)
    found = []
    for key in {**members, **left}:
        own, others = members.get(key, []), left.get(key, [])
        found.append(
            EnrolledTogether(
                kind=own[0].kind if own else GroupKind.LIST,
                received_at=own[0].enrolment.received_at if own else others[0].at,
                members=[start.enrolment for start in own],
                replaced=[end.enrolment for end in others],
            )
        )
    return sorted(found, key=lambda group: group.received_at, reverse=True)
