"""How reality differs from the books: what is lost, duplicated, overbooked or otherwise wrong. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.audit import Decided, Decisions, MailFiles, Seats
from local.books import Books
from local.portal import Kind


@dataclass
class Findings:
    """How reality differs from the books. `details` names the first differences of each kind."""

    lost: int = 0
    duplicated: int = 0
    overbooked: int = 0
    wrong: int = 0
    details: list[str] = field(default_factory=list)

    def note(self, kind: str, count: int, what: str) -> None:
        """Count differences of a kind: lost, duplicated, overbooked or wrong."""
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            self.details.append(f"{kind}: {count} {what}")

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.overbooked or self.wrong)


def compare_answers(books: Books, decisions: Decisions) -> Findings:
    """Compare the decisions topic with the books: every request answered once, and as it should be.

    A request about several agents is answered once to each of them.
    """
    found = Findings()
    missing = [key for key in books.answers if not decisions.answers.get(key)]
    found.note("lost", len(missing), f"requests without an answer, such as {missing[:3]}")
    extra = {key: len(given) - 1 for key, given in decisions.answers.items() if len(given) > 1}
    found.note("duplicated", sum(extra.values()), f"answers too many, such as to {list(extra)[:3]}")
    different = [
        f"{key}: {given[0]} instead of {books.answers[key]}"
        for key, given in decisions.answers.items()
        if key in books.answers and given[0] != books.answers[key]
    ]
    found.note("wrong", len(different), f"answers that should be others, such as {different[:3]}")
    # The page behind a link gives its requests ids of its own, which nobody knows from outside.
    unasked = Counter(
        (given[0], decisions.sessions[key], key[1])
        for key, given in decisions.answers.items()
        if key not in books.answers
    )
    strangers, silent = unasked - books.by_link, books.by_link - unasked
    found.note("wrong", strangers.total(), f"answers to requests nobody sent, such as {list(strangers)[:3]}")
    found.note("lost", silent.total(), f"answers to what was said by a link: {list(silent)[:3]}")
    expected, seen = books.followed, decisions.followed
    for kind, differing in (("lost", expected - seen), ("duplicated", seen - expected)):
        what = "seats passed on, offers, lapses, selections and cancellations"
        found.note(kind, differing.total(), f"{what}, such as {list(differing)[:3]}")
    return found


def compare_offers(books: Books, decisions: Decisions, found: Findings) -> None:
    """Check that what became of the offers adds up, and is what the books say."""
    offers = decisions.offers
    ended = sum(count for what, count in offers.items() if what != "made")
    unexplained = offers["made"] - ended - decisions.open_offers()
    found.note("wrong", abs(unexplained), f"offers of which nobody knows what became: {dict(offers)}")
    if offers != books.offers:
        differing = (offers - books.offers).total() + (books.offers - offers).total()
        found.note("wrong", differing, f"offers: {dict(offers)} instead of {dict(books.offers)}")


def compare_enrolments(books: Books, decisions: Decisions, found: Findings) -> None:
    """Check that each demand for a seat is one enrolment, wherever it stands now."""
    there = len(decisions.standing)
    found.note("wrong", abs(there - demands(books)), f"demands for a seat and enrolments differ: {there}")


def compare_selection(books: Books, selected: Mapping[str, int], found: Findings) -> None:
    """Check what the organiser was told of the ranking: how many sit, wait and are not selected."""
    if dict(selected) != dict(books.selection):
        found.note("wrong", 1, f"selection: {dict(selected)} instead of {dict(books.selection)}")


def answered(books: Books, decisions: Decisions) -> int:
    """Return how many of the answers that are due have come."""
    asked = sum(key in books.answers for key in decisions.answers)
    return asked + min(books.by_link.total(), len(decisions.answers) - asked)


def demands(books: Books) -> int:
    """Return for how many seats was asked: by agents, and by authorities for each of theirs."""
    return sum(demands_by_session(books).values())


def demands_by_session(books: Books) -> Counter[str]:
    """Return the same by session."""
    seats = (Kind.ENROLMENT, Kind.GROUP, Kind.NOMINATION)
    asks = (books.asked[ce_id].ask for ce_id, _ in books.answers)
    return Counter(ask.session_id for ask in asks if ask.kind in seats)


def compare_mails(
    books: Books, mails: MailFiles, found: Findings, superseded: Counter[str] | None = None
) -> None:
    """Compare the mailbox with the books: every letter that is due, once.

    A letter that was superseded before it left (a confirmation, when the agent has withdrawn since) counts
    as there.
    """
    settled = mails.received + (superseded or Counter())
    missing, extra = books.mails - settled, settled - books.mails
    found.note("lost", missing.total(), f"mails that did not come, to {list(missing)[:3]}")
    found.note("duplicated", extra.total(), f"mails too many, to {list(extra)[:3]}")
    twice = [message_id for message_id, count in mails.message_ids.items() if count > 1]
    found.note("duplicated", len(twice), f"mails that came twice, such as {twice[:3]}")


def compare_seats(books: Books, seats: Seats, found: Findings) -> None:
    """Compare the enrolment database with the books: who sits, has an offer and waits."""

    def due(group: str) -> Counter[tuple[str, str]]:
        return Counter(
            (s, agent_id) for s, book in books.sessions.items() for agent_id in getattr(book, group)
        )

    for what, expected, there in (
        ("seats", due("seated"), seats.seated),
        ("offers", due("offered"), seats.offered),
        ("places in line", due("line"), seats.waiting),
    ):
        # Not lost or duplicated once more: what was answered and mailed is counted by the other comparisons.
        missing, extra = expected - there, there - expected
        found.note("wrong", missing.total(), f"{what} missing in the database: {list(missing)[:3]}")
        found.note("wrong", extra.total(), f"{what} that are nobody's: {list(extra)[:3]}")


def compare_moments(
    capacities: Mapping[str, int | None], decisions: Iterable[Decided], found: Findings
) -> None:
    """Go through the decisions in their order: at no moment are more seats taken than there are.

    A seat that is offered is taken. Counts by how many seats each session was ever exceeded.
    """
    holding: defaultdict[str, set[str]] = defaultdict(set)
    most: Counter[str] = Counter()
    for one in decisions:
        taken = holding[one.session_id]
        if one.outcome in ("enrolled", "offered"):
            taken.add(one.enrolment_id)
        else:
            taken.discard(one.enrolment_id)
        most[one.session_id] = max(most[one.session_id], len(taken))
    for session_id, peak in most.items():
        capacity = capacities.get(session_id)
        if capacity is not None:
            found.note(
                "overbooked", max(0, peak - capacity), f"seats too many at once in session {session_id}"
            )


def figures(books: Books, decisions: Decisions) -> dict[str, Any]:
    """Return what became of the demands for a seat, of the offers, the selection and the groups, for JSON."""
    stand = Counter(one.outcome for one in decisions.standing.values())
    reasons = Counter(one.reason for one in decisions.standing.values() if one.reason is not None)
    kinds = Counter(sent.ask.kind for sent in books.asked.values())
    offers = decisions.offers
    return {
        "demands": demands(books),
        "enrolled": stand["enrolled"],
        "waitlisted": stand["waitlisted"],
        "offered": stand["offered"],
        "pending": stand["pending"],
        "withdrawn": stand["withdrawn"],
        "cancelled": stand["cancelled"],
        "lapsed": stand["lapsed"],
        "refused": dict(sorted(reasons.items())),
        "offers": {
            "made": offers["made"],
            "accepted": offers["accepted"],
            "declined": offers["declined"],
            "lapsed": offers["lapsed"],
            "withdrawn": offers["withdrawn"],
            "open": decisions.open_offers(),
        },
        "groups": kinds[Kind.GROUP],
        "nominations": kinds[Kind.NOMINATION],
        "withdrawals": kinds[Kind.WITHDRAWAL],
        "approvals": kinds[Kind.APPROVAL],
        "offers_answered": kinds[Kind.OFFER_ANSWER] + books.by_link.total(),
        "reserved_seats_released": books.released,
    }
