"""What was measured, round by round: medians, their spread, and ratios of the same round."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PROJECT, CEILING, OTHER = "project", "ceiling", "other"


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, the least and the most."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def as_json(self) -> dict[str, float]:
        return {"median": self.median, "min": self.min, "max": self.max}


@dataclass
class Figures:
    """Values by who was measured (project, ceiling, other), by name, one for each round."""

    rounds: defaultdict[str, defaultdict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, who: str, measured: Mapping[str, float]) -> None:
        """Add what one round measured."""
        for name, value in measured.items():
            self.rounds[who][name].append(value)

    def spread(self, who: str) -> dict[str, Spread]:
        """Each value of who was measured."""
        return {name: Spread.of(values) for name, values in self.rounds[who].items()}

    def ratio(self, to: str) -> dict[str, Spread]:
        """The project's values as parts of another's, each of the same round."""
        ours, others = self.rounds[PROJECT], self.rounds[to]
        return {
            name: Spread.of([our / other for our, other in zip(ours[name], others[name], strict=True)])
            for name in ours
            if name in others and all(others[name])
        }

    def as_json(self) -> dict[str, Any]:
        """The project's medians by their names; beside them spreads, ceilings and ratios."""
        document: dict[str, Any] = {name: spread.median for name, spread in self.spread(PROJECT).items()}
        for key, spreads in (
            ("spread", self.spread(PROJECT)),
            ("ceilings", self.spread(CEILING)),
            ("of_the_ceiling", self.ratio(CEILING)),
            ("other", self.spread(OTHER)),
            ("of_the_other", self.ratio(OTHER)),
        ):
            if spreads:
                document[key] = {name: spread.as_json() for name, spread in spreads.items()}
        return document

    def table(self) -> Iterator[str]:
        """The same for a person."""
        ratios = {who: self.ratio(who) for who in (CEILING, OTHER) if self.rounds[who]}
        head = "".join(f"{f'of the {who}':>16}{'min to max':>16}" for who in ratios)
        yield f"{'':46}{'median':>9}{'min to max':>18}{head}"
        for name, spread in self.spread(PROJECT).items():
            line = f"{name:46}{spread.median:9,.0f}{f'{spread.min:,.0f} to {spread.max:,.0f}':>18}"
            for ratio in (ratio_of.get(name) for ratio_of in ratios.values()):
                line += (
                    f"{ratio.median:16.2f}{f'{ratio.min:.2f} to {ratio.max:.2f}':>16}" if ratio else " " * 32
                )
            yield line.rstrip()
