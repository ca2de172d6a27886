"""The demonstration's summary for a person: one row per format. Pure."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from shared.local.audit import Findings, Seats
from shared.local.books import UNKNOWN_FORMAT, Answer, Books

FORMATS = {
    "mooc": "MOOC",
    "webinar": "webinars",
    "local_event": "local events",
    "inet": "INET",
    "bespoke": "bespoke",
    UNKNOWN_FORMAT: "unknown session",
}
HEADINGS = ("format", "sessions", "requests", "enrolled", "waiting", "mails")


def summary(
    figures: Mapping[str, Any],
    *,
    books: Books,
    answers: Mapping[str, Sequence[Answer]],
    seats: Seats,
    received: Counter[str],
    found: Findings,
) -> str:
    """Return the table, the totals, and the differences if there are any.

    `figures` is what `demo.json` holds; `received` counts the mails of each address.
    """
    withdrawn = sum(answer.outcome == "withdrawn" for answer in books.answers.values())
    totals = f"""
{figures["requests"]} requests, {figures["answers"]} answered; \
{withdrawn} withdrawals, {books.promoted.total()} seats passed on to the first in line
{figures["mails_received"]} of {figures["mails_expected"]} mails received, \
{figures["mails_superseded"]} not sent as they were not so any more; \
{figures["parked"]} unreadable records parked; {figures["seconds"]} s
lost {figures["lost"]}, duplicated {figures["duplicated"]}, overbooked {figures["overbooked"]}
"""
    details = [f"  {detail}" for detail in found.details]
    return "\n".join(["", *_table(books, answers, seats, received), totals.rstrip(), *details, ""])


def _table(
    books: Books, answers: Mapping[str, Sequence[Answer]], seats: Seats, received: Counter[str]
) -> list[str]:
    rows: list[tuple[tuple[str, ...], str]] = []
    for key, name in FORMATS.items():
        asked = [ce_id for ce_id, sent in books.asked.items() if books.format_of(sent.ask.session_id) == key]
        if not asked:
            continue
        held = [session_id for session_id in books.sessions if books.format_of(session_id) == key]
        # Each agent of the demonstration asks for one session only: their address tells its format.
        addresses = {books.asked[ce_id].ask.agent.email for ce_id in asked}
        reasons = Counter(given[0].reason for ce_id in asked if (given := answers.get(ce_id)))
        counts = (
            len(held),
            len(asked),
            sum(seats.enrolled[session_id] for session_id in held),
            sum(seats.waiting[session_id] for session_id in held),
            sum(received[address] for address in addresses),
        )
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common() if reason)
        rows.append(((name, *map(str, counts)), told))
    widths = [
        max(len(cells[n]) for cells in (HEADINGS, *(row for row, _ in rows))) for n in range(len(HEADINGS))
    ]
    indent = sum(widths) + 2 * len(widths)
    lines = [_line(HEADINGS, widths) + "  refused, by reason"]
    for cells, told in rows:
        first, *more = textwrap.wrap(told, 50) or [""]
        lines.append(f"{_line(cells, widths)}  {first}".rstrip())
        lines += [" " * indent + line for line in more]
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])
