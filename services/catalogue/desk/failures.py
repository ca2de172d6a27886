"""Why the desk did not do what was asked. Each ends the transaction."""

from dataclasses import dataclass

from services.catalogue.rules import Refusal, Refused
from services.catalogue.store.resources import Resource


class Missing(Exception):
    """There is no such thing, or it belongs to another delegation: who asks is not told which."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no {what}, or it is not yours.")


class Stale(Exception):
    """Somebody changed it since it was read; ``current`` is the tag that it has now."""

    def __init__(self, what: str, current: str) -> None:
        super().__init__(f"The {what} has changed since you read it: read it again, and then change it.")
        self.current = current


class NotYours(Exception):
    """Asked in the name of another delegation."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A field of the request that makes no sense, whatever the state of things."""

    field: str
    message: str


class Invalid(Exception):
    """The request makes no sense; every field that does not."""

    def __init__(self, *wrong: Wrong) -> None:
        super().__init__("; ".join(f"{one.field}: {one.message}" for one in wrong))
        self.wrong = wrong


class Impossible(Exception):
    """The rules refuse it; every reason at once."""

    def __init__(self, refused: Refused) -> None:
        super().__init__("; ".join(problem.detail for problem in refused.problems))
        self.problems = refused.problems

    @property
    def for_now(self) -> bool:
        """Refused for what the thing is by now; else it is wrong in itself."""
        return any(problem.refusal in _OF_THE_MOMENT for problem in self.problems)


class PublishedDifferently(Exception):
    """A resource with this address is published already, and says something else."""

    def __init__(self, known: Resource) -> None:
        files = "" if known.source is None else " in the offer's files"
        super().__init__(
            f"What is at {known.url} is published already, with another session, title, summary or themes: "
            f"correct that one{files}, resource {known.resource_id}."
        )


_OF_THE_MOMENT = frozenset(
    (
        Refusal.ALREADY_PUBLISHED,
        Refusal.NOT_PUBLISHED,
        Refusal.ALREADY_CANCELLED,
        Refusal.ANNOUNCED,
        Refusal.SESSION_OVER,
        Refusal.IN_THE_PAST,
        Refusal.FIXED_ONCE_OPEN,
        Refusal.NOT_STARTED,
        Refusal.NOT_ANSWERABLE,
        Refusal.OF_THE_FILES,
    )
)
