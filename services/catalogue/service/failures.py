from datetime import datetime
from typing import TypeVar

from services.catalogue.rules.refusals import RefusedByRule, Violation
from services.catalogue.rules.resources import Resource


class Failure(Exception):
    pass


class Missing(Failure):
    """The message does not tell whether the thing is missing or another delegation's."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no {what}, or it is not yours.")


class Withdrawn(Failure):
    def __init__(self, what: str, at: datetime) -> None:
        super().__init__(f"The {what} was withdrawn on {at:%Y-%m-%d}: it was published by mistake.")


class Stale(Failure):
    """``current`` is the thing's present tag."""

    def __init__(self, what: str, current: str) -> None:
        super().__init__(f"The {what} has changed since you read it: read it again, and then change it.")
        self.current = current


class NotYours(Failure):
    pass


class Impossible(Failure):
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
        return any(
            violation.code is not None and violation.code.of_the_moment for violation in self.violations
        )


class PublishedDifferently(Failure):
    def __init__(self, known: Resource) -> None:
        files = "" if known.source is None else " in the offer's files"
        super().__init__(
            f"What is at {known.url} is published already, with another session, title, summary or themes: "
            f"correct that one{files}, resource {known.resource_id}."
        )


T = TypeVar("T")


def unless_refused(decided: T | RefusedByRule) -> T:
    if isinstance(decided, RefusedByRule):
        raise Impossible(*decided.violations)
    return decided
