"""What follows for people from another number of seats, and from other dates."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.catalogue.rules.consequences import (
    SeatConsequences,
    of_capacity,
    postponed,
    reaches_people,
    without_new_names,
)
from services.catalogue.rules.sessions import ListedSession, Occupancy, Trainer
from shared.events.catalogue import ReservedSeats
from shared.events.vocabulary import ApprovalPolicy, WaitingList
from tests.unit.catalogue.builders import (
    CLOSES,
    ENDS,
    OPENS,
    STARTS,
    WHILE_OPEN,
    a_draft,
    a_module,
    a_plan,
    a_published_session,
)

LATER = timedelta(days=14)


def taken(enrolled: int, offered: int, waiting: int) -> Occupancy:
    return Occupancy(version=1, capacity=100, enrolled=enrolled, offered=offered, waiting=waiting)


def served(waiting: int, *, left: int, by_offer: bool = False) -> SeatConsequences:
    """So many agents in line are served, and so many still wait; nobody is above the seats."""
    return SeatConsequences(waiting, by_offer=by_offer, above=0, still_waiting=left)


AUTOMATIC, OFFER, NONE = WaitingList.AUTOMATIC, WaitingList.OFFER, WaitingList.NONE


@pytest.mark.parametrize(
    ("waiting_list", "occupancy", "capacity", "after"),
    [
        (AUTOMATIC, taken(100, 0, 7), 104, served(4, left=3)),
        (AUTOMATIC, taken(98, 2, 7), 120, served(7, left=0)),
        (OFFER, taken(98, 2, 7), 101, served(1, left=6, by_offer=True)),
        (OFFER, taken(98, 2, 7), None, served(7, left=0, by_offer=True)),
        (NONE, taken(100, 0, 0), 104, served(0, left=0)),
        (AUTOMATIC, taken(90, 5, 3), 80, SeatConsequences(0, by_offer=False, above=15, still_waiting=3)),
        (AUTOMATIC, taken(0, 0, 0), 0, served(0, left=0)),
        (AUTOMATIC, None, 5, served(0, left=0)),
    ],
)
def test_agents_in_line_are_served_as_far_as_seats_become_free_and_nobody_loses_a_seat(
    waiting_list: WaitingList, occupancy: Occupancy | None, capacity: int | None, after: SeatConsequences
) -> None:
    assert of_capacity(a_plan(waiting_list=waiting_list), occupancy, capacity) == after


def test_what_is_to_come_moves_as_far_as_the_start_and_what_has_passed_stays() -> None:
    released, kept = WHILE_OPEN, CLOSES
    plan = a_plan(
        modules=(a_module("Comprendre", STARTS, ENDS),),
        reserved_seats=tuple(
            ReservedSeats(delegation=delegation, seats=1, release_at=moment)
            for delegation, moment in (("corse", released), ("bretagne", kept))
        ),
    )
    moved = postponed(plan, STARTS + LATER, WHILE_OPEN)
    assert (moved.starts_at, moved.ends_at) == (STARTS + LATER, ENDS + LATER)
    assert moved.enrolment_opens_at == OPENS
    assert moved.enrolment_closes_at == CLOSES + LATER
    assert [module.starts_at for module in moved.modules] == [STARTS + LATER]
    assert [each.release_at for each in moved.reserved_seats] == [released, kept + LATER]


NOBODY = taken(0, 0, 0)
ADA = Trainer(UUID(int=1), "Ada", "ada@example.org")


@pytest.mark.parametrize(
    ("occupancy", "given", "changed", "reaches"),
    [
        (taken(1, 0, 0), {}, "venue", True),
        (taken(0, 1, 0), {}, "modules", True),
        (taken(0, 0, 1), {}, "capacity", True),
        (taken(1, 0, 0), {}, "join_url", True),
        (taken(1, 0, 0), {}, "summary", False),
        (NOBODY, {}, "venue", False),
        (None, {}, "venue", False),
        (NOBODY, {"approval": ApprovalPolicy.SELECTION}, "venue", True),
        (NOBODY, {"trainers": (ADA,)}, "venue", True),
        (NOBODY, {"trainers": (replace(ADA, email=None),)}, "venue", False),
    ],
)
def test_a_change_reaches_agents_in_the_session_or_in_line_and_trainers(
    occupancy: Occupancy | None, given: dict[str, Any], changed: str, *, reaches: bool
) -> None:
    published = ListedSession(a_published_session(**given), occupancy, changed_at=WHILE_OPEN)
    assert reaches_people(published, {"title", changed}) is reaches
    assert not reaches_people(replace(published, session=a_draft(**given)), {changed})


def test_a_seance_that_is_only_renamed_reaches_nobody() -> None:
    module = a_module("Séance", STARTS, ENDS)
    renamed = module.model_copy(update={"title": "Autrement"})
    moved = module.model_copy(update={"ends_at": module.ends_at + LATER})
    assert without_new_names([module], [renamed], {"modules", "title"}) == {"title"}
    assert without_new_names([module], [moved], {"modules"}) == {"modules"}
    assert without_new_names([module], [], {"modules"}) == {"modules"}
