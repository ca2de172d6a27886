from dataclasses import dataclass
from enum import StrEnum


class RefusalCode(StrEnum):
    DATES_OUT_OF_ORDER = "dates_out_of_order"
    NOT_THIS_CENTURY = "not_this_century"
    MODULE_OUTSIDE_SESSION = "module_outside_session"
    TOO_MANY_RESERVED_SEATS = "too_many_reserved_seats"
    MINIMUM_ABOVE_CAPACITY = "minimum_above_capacity"
    DELEGATION_RESERVED_TWICE = "delegation_reserved_twice"
    UNKNOWN_DELEGATION = "unknown_delegation"
    QUESTION_ASKED_TWICE = "question_asked_twice"
    CHOICES_DO_NOT_FIT = "choices_do_not_fit"
    ADJUSTMENT_IS_VOLUNTARY = "adjustment_is_voluntary"
    KEPT_TOO_LONG = "kept_too_long"
    REQUIRES_ITSELF = "requires_itself"
    NO_PLACE = "no_place"
    NOT_PRIVATE = "not_private"
    ALREADY_PUBLISHED = "already_published"
    NOT_PUBLISHED = "not_published"
    ALREADY_CANCELLED = "already_cancelled"
    ANNOUNCED = "announced"
    SESSION_OVER = "session_over"
    IN_THE_PAST = "in_the_past"
    FIXED_ONCE_OPEN = "fixed_once_open"
    NOT_STARTED = "not_started"
    NOT_ANSWERABLE = "not_answerable"
    NO_SESSION = "no_session"
    OF_THE_FILES = "of_the_files"
    ALREADY_WITHDRAWN = "already_withdrawn"
    REFERENCE_TAKEN = "reference_taken"
    CHANGED_TOO_OFTEN = "changed_too_often"
    OFFER_EXISTS = "offer_exists"
    FORMAT_FIXED = "format_fixed"
    OFFER_IN_USE = "offer_in_use"
    OFFER_WITHDRAWN = "offer_withdrawn"
    TWICE_IN_SERIES = "twice_in_series"
    TEMPLATE_NAME_TAKEN = "template_name_taken"
    TOO_MANY_TEMPLATES = "too_many_templates"

    @property
    def of_the_moment(self) -> bool:
        """False means that the request itself is wrong."""
        return self in _OF_THE_MOMENT


_OF_THE_MOMENT = frozenset(
    (
        RefusalCode.ALREADY_PUBLISHED,
        RefusalCode.NOT_PUBLISHED,
        RefusalCode.ALREADY_CANCELLED,
        RefusalCode.ANNOUNCED,
        RefusalCode.SESSION_OVER,
        RefusalCode.IN_THE_PAST,
        RefusalCode.FIXED_ONCE_OPEN,
        RefusalCode.NOT_STARTED,
        RefusalCode.NOT_ANSWERABLE,
        RefusalCode.OF_THE_FILES,
        RefusalCode.ALREADY_WITHDRAWN,
        RefusalCode.REFERENCE_TAKEN,
        RefusalCode.CHANGED_TOO_OFTEN,
        RefusalCode.OFFER_EXISTS,
        RefusalCode.FORMAT_FIXED,
        RefusalCode.OFFER_IN_USE,
        RefusalCode.OFFER_WITHDRAWN,
        RefusalCode.TEMPLATE_NAME_TAKEN,
        RefusalCode.TOO_MANY_TEMPLATES,
    )
)


@dataclass(frozen=True, slots=True)
class Violation:
    """``code`` is None if the request makes no sense in any state.

    ``field`` is a path in the plan or request, such as ``modules.0.ends_at``; None is the whole.
    """

    code: RefusalCode | None
    field: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class RefusedByRule:
    violations: tuple[Violation, ...]


def refused(code: RefusalCode, detail: str, field: str | None = None) -> RefusedByRule:
    return RefusedByRule((Violation(code, field, detail),))
