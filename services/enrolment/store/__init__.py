"""Every query of the enrolment service, by what it is about."""

from services.enrolment.store.books import (
    Desk,
    keep_for_later,
    open_books,
    open_books_for_sessions,
    open_books_of_undecided,
    request_of,
    request_outcome,
    save,
    save_refusals,
    undecided_since,
)

__all__ = [
    "Desk",
    "keep_for_later",
    "open_books",
    "open_books_for_sessions",
    "open_books_of_undecided",
    "request_of",
    "request_outcome",
    "save",
    "save_refusals",
    "undecided_since",
]
