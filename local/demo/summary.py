import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from local.demo.comparison import Observed
from local.model.day import UNKNOWN_FORMAT, ReferenceModel

FORMATS = {
    "mooc": "MOOC",
    "webinar": "webinars",
    "local_event": "local events",
    "inet": "INET",
    "bespoke": "bespoke",
    UNKNOWN_FORMAT: "unknown session",
}
COLUMNS = {
    "enrolled": "enrolled",
    "waitlisted": "waiting",
    "offered": "offered",
    "pending": "pending",
    "refused": "refused",
    "withdrawn": "withdrawn",
    "cancelled": "cancelled",
    "lapsed": "lapsed",
    "not_obtained": "no seat",
}
"""In each row of the printed table, they add up to the demands."""
_WIDTH = 100


def summary(
    figures: Mapping[str, Any], model: ReferenceModel, observed: Observed, details: Sequence[str]
) -> str:
    offers, selection = figures["offers"], Counter(figures["selection"])
    totals = [
        "",
        (
            f"{figures['requests']} answers due, {figures['answers']} given: {figures['demands']} demands, "
            f"{figures['withdrawals']} withdrawals, {figures['moves']} moves, "
            f"{figures['approvals']} decisions of employers, "
            f"{figures['offers_answered']} answers to offers, {figures['corrections']} corrected addresses"
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
            f"{figures['reserved_seats_released']} reserved seats released to agents who waited, "
            f"{figures['by_hand']} enrolled by hand, {figures['above_capacity']} of them above the capacity, "
            f"{figures['minimums_missed']} session with too few"
        ),
        (
            f"{figures['mails_received']} of {figures['mails_expected']} mails received, "
            f"{figures['mails_superseded']} outdated before they left, so not sent; "
            f"{figures['parked']} unreadable records parked; {figures['seconds']} s"
        ),
        f"lost {figures['lost']}, duplicated {figures['duplicated']}, overbooked {figures['overbooked']}",
    ]
    lines = [*_table(model, observed), *_reasons(model, observed), *totals]
    return "\n".join(["", *lines, *(f"  {detail}" for detail in details), ""])


def _table(model: ReferenceModel, observed: Observed) -> list[str]:
    demands: Counter[str] = Counter()
    for session_id, number in model.demands().items():
        demands[model.format_of(session_id)] += number
    states = Counter(
        (model.format_of(last.session_id), last.verdict.state)
        for last in observed.decisions.enrolments.values()
    )
    mails: Counter[str] = Counter()
    for address, number in observed.mails.by_address().items():
        mails[model.format_of_address.get(address, UNKNOWN_FORMAT)] += number
    sessions = Counter(session.terms.format for session in model.sessions.values())
    headings = ("format", "sessions", "demands", *COLUMNS.values(), "mails")
    counts = {
        name: [sessions[key], demands[key], *(states[key, state] for state in COLUMNS), mails[key]]
        for key, name in FORMATS.items()
        if demands[key]
    }
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [headings, *((name, *(str(n or "–") for n in numbers)) for name, numbers in counts.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def _reasons(model: ReferenceModel, observed: Observed) -> list[str]:
    lines = ["", "refused, by reason"]
    for key, name in FORMATS.items():
        reasons = Counter(
            last.verdict.reason
            for last in observed.decisions.enrolments.values()
            if last.verdict.reason and model.format_of(last.session_id) == key
        )
        if reasons:
            label = f"  {name:<16}"
            text = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            lines += textwrap.wrap(text, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label))
    return lines
