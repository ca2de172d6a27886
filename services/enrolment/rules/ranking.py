from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RankingDraft:
    """Ranks by enrolment. ``version`` counts saves; 0 means never saved."""

    version: int = 0
    ranks: Mapping[UUID, int] = field(default_factory=dict)
    not_selected: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class ArrangedCandidates:
    """Ranked candidates are sorted by rank, then receipt. ``ties`` are shared ranks."""

    ranked: Sequence[UUID]
    undecided: Sequence[UUID]
    not_selected: Sequence[UUID]
    ties: Mapping[int, Sequence[UUID]]

    def first(self, number: int) -> "ArrangedCandidates":
        ranked = self.ranked[:number]
        undecided = self.undecided[: number - len(ranked)]
        rest = number - len(ranked) - len(undecided)
        return ArrangedCandidates(ranked, undecided, self.not_selected[:rest], self.ties)


def arranged(draft: RankingDraft, candidates: Sequence[UUID]) -> ArrangedCandidates:
    """``candidates`` come in order of receipt."""
    not_selected = [candidate for candidate in candidates if candidate in draft.not_selected]
    others = [candidate for candidate in candidates if candidate not in draft.not_selected]
    with_rank = [candidate for candidate in others if candidate in draft.ranks]
    ranked = sorted(with_rank, key=lambda candidate: draft.ranks[candidate])
    numbers = Counter(draft.ranks[candidate] for candidate in ranked)
    return ArrangedCandidates(
        ranked=ranked,
        undecided=[candidate for candidate in others if candidate not in draft.ranks],
        not_selected=not_selected,
        ties={
            rank: [candidate for candidate in ranked if draft.ranks[candidate] == rank]
            for rank, times in sorted(numbers.items())
            if times > 1
        },
    )


def differing(before: RankingDraft, after: RankingDraft, candidates: Sequence[UUID]) -> list[UUID]:
    order = arranged(after, candidates)

    def place(draft: RankingDraft, candidate: UUID) -> tuple[bool, int | None]:
        return candidate in draft.not_selected, draft.ranks.get(candidate)

    return [
        candidate
        for candidate in (*order.ranked, *order.not_selected, *order.undecided)
        if place(before, candidate) != place(after, candidate)
    ]


def stepped(draft: RankingDraft, candidates: Sequence[UUID], moved: UUID, step: int) -> RankingDraft:
    """Move a candidate a step earlier (-1) or later (1), and number the ranks anew.

    A candidate without a rank becomes the last ranked one.
    """
    order = [*arranged(draft, candidates).ranked]
    if moved in order:
        place = order.index(moved)
        order.remove(moved)
        order.insert(max(0, place + step), moved)
    elif moved in candidates:
        order.append(moved)
    return RankingDraft(
        draft.version,
        {candidate: number for number, candidate in enumerate(order, 1)},
        draft.not_selected - {moved},
    )


@dataclass(frozen=True, slots=True)
class DraftChange:
    """A change of the draft that the organiser saw.

    ``ranks`` and ``not_selected`` describe the candidates ``shown`` (None means all). Then ``moved``, if any,
    goes a step earlier (-1) or later (1).
    """

    version: int
    shown: frozenset[UUID] | None
    ranks: Mapping[UUID, int]
    not_selected: frozenset[UUID]
    moved: UUID | None = None
    step: int = 0

    def on(self, kept: RankingDraft, candidates: Sequence[UUID]) -> RankingDraft:
        """Candidates that were not shown keep their place in the stored draft."""
        ranks: dict[UUID, int] = {}
        not_selected: set[UUID] = set()
        for candidate in candidates:
            source = self if self.shown is None or candidate in self.shown else kept
            if candidate in source.not_selected:
                not_selected.add(candidate)
            elif candidate in source.ranks:
                ranks[candidate] = source.ranks[candidate]
        draft = RankingDraft(self.version, ranks, frozenset(not_selected))
        return draft if self.moved is None else stepped(draft, candidates, self.moved, self.step)
