"""A situation: who is in it, what is done when, and what its people are to hear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from local.demo.people import Agent
from local.year.acts import Act
from local.year.people import Listener


@dataclass(frozen=True)
class Situation:
    """One situation of the year.

    `rules`: where docs/domain.md has what it shows. `stops`: moments, beside those of its acts, at which the
    clock is to stop, since a letter is due, enrolment closes or a line ends. `forgotten`: by when who is not
    to be found in any database any more.
    """

    title: str
    rules: str
    acts: Sequence[Act]
    listeners: Sequence[Listener]
    stops: Sequence[str] = ()
    forgotten: Mapping[str, Agent] = field(default_factory=dict)
