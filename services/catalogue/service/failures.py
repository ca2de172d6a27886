"""Why the service did not do what was requested. Failures are raised: the transaction stores nothing."""

from datetime import datetime
from typing import TypeVar

from services.catalogue.rules.refusals import RefusedByRule, Violation
from services.catalogue.rules.resources import Resource


class Failure(Exception):
    """Something was not done. The message says why, and what to do."""


class Missing(Failure):
    """The thing does not exist, or belongs to another delegation; the message does not tell which."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no {what}, or it is not yours.")


class Withdrawn(Failure):
    """The organiser has taken back something that was open to everyone."""

    def __init__(self, what: str, at: datetime) -> None:
        super().__init__(f"The {what} was withdrawn on {at:%Y-%m-%d}: it was published by mistake.")


class Stale(Failure):
    """Somebody changed the thing since it was read. ``current`` is its tag now."""

    def __init__(self, what: str, current: str) -> None:
        super().__init__(f"The {what} has changed since you read it: read it again, and then change it.")
        self.current = current


class NotYours(Failure):
    """The request is in the name of another delegation."""


class Impossible(Failure):
    """The request makes no sense, or the rules refuse it. ``violations`` are all of them."""

    def __init__(self, *violations: Violation) -> None:
        super().__init__(
            "; ".join(
                violation.detail if violation.code else f"{violation.field}: {violation.detail}"
                for violation in violations
            )
        )
        self.violations = violations

    @property
    def for_now(self) -> bool:
        """Whether the request is refused for the present state of things."""
        return any(
            violation.code is not None and violation.code.of_the_moment for violation in self.violations
        )


class PublishedDifferently(Failure):
    """A resource with this address is published already, with another content."""

    def __init__(self, known: Resource) -> None:
        files = "" if known.source is None else " in the offer's files"
        super().__init__(
            f"What is at {known.url} is published already, with another session, title, summary or themes: "
            f"correct that one{files}, resource {known.resource_id}."
        )


T = TypeVar("T")


def unless_refused(decided: T | RefusedByRule) -> T:
    """Return the decision. Raises :class:`Impossible` if it is a refusal."""
    if isinstance(decided, RefusedByRule):
        raise Impossible(*decided.violations)
    return decided
