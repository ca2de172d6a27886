"""The demonstration's summary for a person: what became of every demand for a seat, by format. Pure."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from local.audit import Decisions
from local.books import UNKNOWN_FORMAT, Books
from local.verdict import demands_by_session

FORMATS = {
    "mooc": "MOOC",
    "webinar": "webinars",
    "local_event": "local events",
    "inet": "INET",
    "bespoke": "bespoke",
    UNKNOWN_FORMAT: "unknown session",
}
OUTCOMES = {
    "enrolled": "enrolled",
    "waitlisted": "waiting",
    "offered": "offered",
    "pending": "pending",
    "refused": "refused",
    "withdrawn": "withdrawn",
    "cancelled": "cancelled",
    "lapsed": "lapsed",
}
"""Where a demand for a seat may stand, and its column: in each row they add up to the demands."""
_WIDTH = 100


def summary(
    figures: Mapping[str, Any],
    books: Books,
    decisions: Decisions,
    received: Counter[str],
    details: Sequence[str],
) -> str:
    """Return the table, the totals, and the differences if there are any.

    `figures` is what `demo.json` holds; `received` counts the mails of each address.
    """
    offers, selection = figures["offers"], Counter(figures["selection"])
    totals = [
        "",
        (
            f"{figures['requests']} answers due, {figures['answers']} given: {figures['demands']} demands, "
            f"{figures['withdrawals']} withdrawals, {figures['approvals']} decisions of employers, "
            f"{figures['offers_answered']} answers to offers"
        ),
        (
            f"offers: {offers['made']} made = {offers['accepted']} accepted + {offers['declined']} declined "
            f"+ {offers['lapsed']} unanswered + {offers['withdrawn']} withdrawn + {offers['open']} open"
        ),
        (
            f"selection: {selection.total()} candidates = {selection['enrolled']} seats "
            f"+ {selection['waitlisted']} in line + {selection['refused']} not selected"
        ),
        (
            f"{figures['groups']} groups, {figures['nominations']} lists of a bespoke session, "
            f"{figures['reserved_seats_released']} reserved seats released to who waited"
        ),
        (
            f"{figures['mails_received']} of {figures['mails_expected']} mails received, "
            f"{figures['mails_superseded']} outdated before they left, so not sent; "
            f"{figures['parked']} unreadable records parked; {figures['seconds']} s"
        ),
        f"lost {figures['lost']}, duplicated {figures['duplicated']}, overbooked {figures['overbooked']}",
    ]
    table, reasons = _table(books, decisions, received), _reasons(books, decisions)
    return "\n".join(["", *table, *reasons, *totals, *(f"  {detail}" for detail in details), ""])


def _table(books: Books, decisions: Decisions, received: Counter[str]) -> list[str]:
    """The rows: a format's sessions, the demands for seats there, where each stands now, and its mails."""
    demands: Counter[str] = Counter()
    for session_id, number in demands_by_session(books).items():
        demands[books.format_of(session_id)] += number
    stand = Counter((books.format_of(one.session_id), one.outcome) for one in decisions.standing.values())
    mails: Counter[str] = Counter()
    for address, number in received.items():
        mails[books.format_of_address.get(address, UNKNOWN_FORMAT)] += number
    sessions = Counter(book.facts.format for book in books.sessions.values())
    headings = ("format", "sessions", "demands", *OUTCOMES.values(), "mails")
    counts = {
        name: [sessions[key], demands[key], *(stand[key, outcome] for outcome in OUTCOMES), mails[key]]
        for key, name in FORMATS.items()
        if demands[key]
    }
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [headings, *((name, *map(_shown, numbers)) for name, numbers in counts.items())]
    widths = [max(len(row[n]) for row in rows) for n in range(len(headings))]
    return [_line(row, widths) for row in rows]


def _reasons(books: Books, decisions: Decisions) -> list[str]:
    """The refusals of each format, by reason."""
    lines = ["", "refused, by reason"]
    for key, name in FORMATS.items():
        reasons = Counter(
            one.reason for one in decisions.standing.values() if books.format_of(one.session_id) == key
        )
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common() if reason)
        if told:
            label = f"  {name:<16}"
            lines += textwrap.wrap(told, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label))
    return lines


def _shown(number: int) -> str:
    return str(number) if number else "–"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])
