"""The order of the roster that organisers read."""

from services.enrolment.rules.roster_lines import PARTS
from services.enrolment.rules.states import State


def test_every_state_has_its_place_in_the_roster() -> None:
    seated = {state for state in State if state.has_seat}
    assert seated | set(PARTS) == set(State)
    assert not seated & set(PARTS)
    assert len(PARTS) == len(set(PARTS))
