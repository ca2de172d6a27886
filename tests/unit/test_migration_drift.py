"""Tables and migrations agree, but for what waits a release to be dropped."""

from sqlalchemy import Column, Integer, MetaData, Table

from tests.support.migration_drift import is_left_behind


def test_what_no_code_uses_any_more_may_wait_a_release_to_be_dropped() -> None:
    seat = Table("seat", MetaData(), Column("colour", Integer))
    left = ("remove_column", None, "seat", seat.c.colour)
    owed = ("add_column", None, "seat", seat.c.colour)
    assert is_left_behind("enrolment", left, {"enrolment.seat.colour"})
    assert is_left_behind("enrolment", ("remove_table", seat), {"enrolment.seat"})
    assert not is_left_behind("notifier", left, {"enrolment.seat.colour"})
    assert not is_left_behind("enrolment", owed, {"enrolment.seat.colour"})
