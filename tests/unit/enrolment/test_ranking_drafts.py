"""Drafts of a ranking: places, moved by a step, shown in part."""

from uuid import UUID, uuid4

import pytest

from services.enrolment.rules.ranking import DraftChange, RankingDraft, arranged, differing, stepped

IDS = sorted(uuid4() for _ in range(4))
FIRST, SECOND, THIRD, FOURTH = IDS


def a_draft(*ranked: UUID, not_selected: tuple[UUID, ...] = ()) -> RankingDraft:
    return RankingDraft(3, {each: rank for rank, each in enumerate(ranked, 1)}, frozenset(not_selected))


@pytest.mark.parametrize(
    ("moved", "step", "order"),
    [
        (SECOND, -1, [SECOND, FIRST, THIRD]),
        (SECOND, 1, [FIRST, THIRD, SECOND]),
        (FIRST, -1, [FIRST, SECOND, THIRD]),
        (THIRD, 1, [FIRST, SECOND, THIRD]),
        (FOURTH, -1, [FIRST, SECOND, THIRD, FOURTH]),
        (uuid4(), 1, [FIRST, SECOND, THIRD]),
    ],
)
def test_a_step_stays_within_the_ranked_and_numbers_them_anew(
    moved: UUID, step: int, order: list[UUID]
) -> None:
    after = stepped(a_draft(FIRST, SECOND, THIRD), IDS, moved, step)
    assert after == a_draft(*order)


def test_a_candidate_who_was_not_selected_is_ranked_by_a_step() -> None:
    after = stepped(a_draft(FIRST, not_selected=(SECOND, THIRD)), IDS, SECOND, 1)
    assert after == a_draft(FIRST, SECOND, not_selected=(THIRD,))


def test_a_candidate_who_was_not_shown_stays_as_in_the_stored_draft() -> None:
    kept = a_draft(FIRST, SECOND, not_selected=(THIRD,))
    change = DraftChange(3, frozenset((SECOND, FOURTH)), {FOURTH: 1}, frozenset())
    assert change.on(kept, IDS) == RankingDraft(3, {FIRST: 1, FOURTH: 1}, frozenset((THIRD,)))


def test_a_change_of_all_leaves_nothing_of_the_draft_and_ranks_candidates_alone() -> None:
    gone = uuid4()
    change = DraftChange(3, None, {THIRD: 1, gone: 2}, frozenset((SECOND, gone)))
    assert change.on(a_draft(FIRST, SECOND), IDS) == a_draft(THIRD, not_selected=(SECOND,))


def test_a_step_is_taken_in_what_was_typed() -> None:
    change = DraftChange(3, None, {FIRST: 1, SECOND: 2}, frozenset(), moved=SECOND, step=-1)
    assert change.on(a_draft(), IDS) == a_draft(SECOND, FIRST)


def test_equal_ranks_are_ties_and_go_by_receipt() -> None:
    order = arranged(RankingDraft(1, {SECOND: 1, FIRST: 1, THIRD: 2}), IDS)
    assert order.ranked == [FIRST, SECOND, THIRD]
    assert order.ties == {1: [FIRST, SECOND]}
    assert order.undecided == [FOURTH]


def test_a_candidate_at_the_same_place_does_not_differ() -> None:
    before = a_draft(FIRST, SECOND, THIRD, not_selected=(FOURTH,))
    assert differing(before, before, IDS) == []
    assert differing(before, a_draft(FIRST, THIRD, not_selected=(SECOND,)), IDS) == [THIRD, SECOND, FOURTH]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, ([], [], [])),
        (1, ([FIRST], [], [])),
        (2, ([FIRST], [THIRD], [])),
        (3, ([FIRST], [THIRD], [SECOND])),
    ],
)
def test_the_first_of_all_are_shown_in_their_order(number: int, shown: tuple[list[UUID], ...]) -> None:
    part = arranged(a_draft(FIRST, not_selected=(SECOND,)), IDS[:3]).first(number)
    assert (part.ranked, part.undecided, part.not_selected) == shown
