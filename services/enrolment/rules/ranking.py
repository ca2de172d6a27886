"""A ranking of candidates while it is drafted: who stands where, who is not selected, who stands equal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RankingDraft:
    """Ranks that an organiser has given so far, and who is not selected, by enrolment.

    ``version`` counts how often it was saved; 0: never.
    """

    version: int = 0
    ranks: Mapping[UUID, int] = field(default_factory=dict)
    not_selected: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class ArrangedCandidates:
    """Candidates as a draft has them: in order of rank, then of receipt; not decided about; not selected.

    ``ties``: the ranks that several have.
    """

    ranked: Sequence[UUID]
    undecided: Sequence[UUID]
    not_selected: Sequence[UUID]
    ties: Mapping[int, Sequence[UUID]]

    def first(self, number: int) -> "ArrangedCandidates":
        """Return the first so many of them, in the same order."""
        ranked = self.ranked[:number]
        undecided = self.undecided[: number - len(ranked)]
        rest = number - len(ranked) - len(undecided)
        return ArrangedCandidates(ranked, undecided, self.not_selected[:rest], self.ties)


def arranged(draft: RankingDraft, candidates: Sequence[UUID]) -> ArrangedCandidates:
    """Return the candidates, who are given in order of receipt, as the draft has them."""
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
    """Return whose rank differs, or whether they are selected, in the order of the draft ``after``."""
    order = arranged(after, candidates)

    def place(draft: RankingDraft, candidate: UUID) -> tuple[bool, int | None]:
        return candidate in draft.not_selected, draft.ranks.get(candidate)

    return [
        candidate
        for candidate in (*order.ranked, *order.not_selected, *order.undecided)
        if place(before, candidate) != place(after, candidate)
    ]


def stepped(draft: RankingDraft, candidates: Sequence[UUID], moved: UUID, step: int) -> RankingDraft:
    """Return the draft with one candidate a step sooner (-1) or later (1), and ranks from 1 on anew.

    Who has no rank yet comes last of the ranked by a step.
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
    """What an organiser changes in the draft that they saw in this version.

    ``ranks`` and ``not_selected`` are all that it says of those who were ``shown``; None: of all candidates.
    Then the candidate who is ``moved``, if anybody, goes a step sooner (-1) or later (1).
    """

    version: int
    shown: frozenset[UUID] | None
    ranks: Mapping[UUID, int]
    not_selected: frozenset[UUID]
    moved: UUID | None = None
    step: int = 0

    def on(self, kept: RankingDraft, candidates: Sequence[UUID]) -> RankingDraft:
        """Return the draft of these candidates: who was not shown is as in the draft that is kept."""
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
