"""Every query of the enrolment service, by what it is about."""

from services.enrolment.store.addresses import clear_addresses, mark_addresses
from services.enrolment.store.books import (
    Desk,
    open_book,
    open_books,
    open_books_for_sessions,
    open_books_of_undecided,
    open_due_book,
    sessions_due,
)
from services.enrolment.store.facts import Needs
from services.enrolment.store.projections import compare, unsent_occupancy
from services.enrolment.store.reading import note_read, read_until
from services.enrolment.store.requests import (
    PortalRequest,
    keep_for_later,
    request_of,
    request_outcome,
    undecided_since,
    why_unreadable,
)
from services.enrolment.store.saving import outbox, save, save_refusals

__all__ = [
    "Desk",
    "Needs",
    "PortalRequest",
    "clear_addresses",
    "compare",
    "keep_for_later",
    "mark_addresses",
    "note_read",
    "open_book",
    "open_books",
    "open_books_for_sessions",
    "open_books_of_undecided",
    "open_due_book",
    "outbox",
    "read_until",
    "request_of",
    "request_outcome",
    "save",
    "save_refusals",
    "sessions_due",
    "undecided_since",
    "unsent_occupancy",
    "why_unreadable",
]
