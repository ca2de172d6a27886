from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.demo.decisions import Databases, DecisionLog, EnrolmentChange
from local.model.day import ReferenceModel
from local.observing import Mailbox

_NOT_ABOUT_A_SEAT = ("BespokeTrainingRequested", "AgentCorrected")
_STATES = (
    "enrolled", "waitlisted", "offered", "pending", "withdrawn", "cancelled", "lapsed", "not_obtained",
)  # fmt: skip


class Differences:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.details: list[str] = []

    def add(self, kind: str, count: int, what: str) -> None:
        if count:
            self.counts[kind] += count
            self.details.append(f"{kind}: {count} {what}")

    def add_between(
        self, expected: Counter[Any], found: Counter[Any], kinds: tuple[str, str], what: str
    ) -> None:
        for kind, differing in zip(kinds, (expected - found, found - expected), strict=True):
            self.add(kind, differing.total(), f"{what}, such as {list(differing)[:3]}")


@dataclass(frozen=True)
class Observed:
    decisions: DecisionLog
    mails: Mailbox
    databases: Databases
    selection: Mapping[str, int]
    malformed: int


def compare(model: ReferenceModel, observed: Observed) -> Differences:
    differences, databases = Differences(), observed.databases
    compare_answers(model, observed.decisions, differences)
    compare_offers(model, observed.decisions, differences)
    compare_mails(model, observed.mails, databases.superseded, differences)
    compare_seats(model, databases.seats, differences)
    compare_moments(model, databases.changes, differences)
    if dict(observed.selection) != dict(model.selection):
        what = f"selection: {dict(observed.selection)} instead of {dict(model.selection)}"
        differences.add("wrong", 1, what)
    about_seats = sum(request.name not in _NOT_ABOUT_A_SEAT for request in model.requests.values())
    differences.add("wrong", about_seats - databases.decided, "requests without a decision in the database")
    malformed, parked = observed.malformed, databases.parked
    differences.add("lost", max(0, malformed - parked), "unreadable records that were not parked")
    differences.add("wrong", max(0, parked - malformed), "readable records that were parked")
    unsent = databases.unsent_mails
    differences.add("wrong", sum(unsent.values()), f"mails in the queue that are not sent: {unsent}")
    return differences


def compare_answers(model: ReferenceModel, decisions: DecisionLog, differences: Differences) -> None:
    missing = [key for key in model.answers if not decisions.answers.get(key)]
    differences.add("lost", len(missing), f"requests without an answer, such as {missing[:3]}")
    extra = {key: len(given) - 1 for key, given in decisions.answers.items() if len(given) > 1}
    differences.add("duplicated", sum(extra.values()), f"answers too many, such as to {list(extra)[:3]}")
    different = [
        f"{key}: {given[0]} instead of {model.answers[key]}"
        for key, given in decisions.answers.items()
        if key in model.answers and given[0] != model.answers[key]
    ]
    differences.add("wrong", len(different), f"answers that should be others, such as {different[:3]}")
    # Only the services know the ids of requests made by a letter's page or by the API.
    others = Counter(
        (given[0], decisions.sessions[key], key[1])
        for key, given in decisions.answers.items()
        if key not in model.answers
    )
    what = "answers by a link, to an organiser, or to nobody's request"
    differences.add_between(model.other_answers, others, ("lost", "wrong"), what)
    what = "seats passed on, offers, lapses, selections, cancellations and ends of lines"
    lost_or_twice = ("lost", "duplicated")
    differences.add_between(model.consequences, decisions.consequences, lost_or_twice, what)
    what = "corrections of addresses"
    differences.add_between(model.corrections, decisions.corrections, lost_or_twice, what)
    enrolments, demands = len(decisions.enrolments), model.demands().total()
    differences.add("wrong", abs(enrolments - demands), f"demands for a seat and enrolments: {enrolments}")


def compare_offers(model: ReferenceModel, decisions: DecisionLog, differences: Differences) -> None:
    offers = decisions.offers
    ended = sum(count for state, count in offers.items() if state != "made")
    unexplained = offers["made"] - ended - decisions.open_offers()
    differences.add("wrong", abs(unexplained), f"offers without a known end: {dict(offers)}")
    differences.add_between(model.offers, offers, ("wrong", "wrong"), "offers by their end")


def compare_mails(
    model: ReferenceModel, mails: Mailbox, superseded: Counter[str], differences: Differences
) -> None:
    """Report each due letter that did not come exactly once. A superseded letter counts as received."""
    settled = mails.by_address() + superseded
    differences.add_between(model.mails, settled, ("lost", "duplicated"), "mails")
    twice = [mail for mail, count in Counter(mail.message_id for mail in mails.letters).items() if count > 1]
    differences.add("duplicated", len(twice), f"mails that came twice, such as {twice[:3]}")


def compare_seats(
    model: ReferenceModel, seats: Mapping[str, Counter[tuple[str, str]]], differences: Differences
) -> None:
    for state, group in (("enrolled", "enrolled"), ("offered", "offered"), ("waitlisted", "waiting")):
        expected = Counter(
            (session_id, agent_id)
            for session_id, session in model.sessions.items()
            for agent_id in getattr(session, group)
        )
        # The other comparisons count lost and duplicated answers and mails.
        differences.add_between(expected, seats.get(state, Counter()), ("wrong", "wrong"), f"{state} agents")


def compare_moments(
    model: ReferenceModel, changes: Iterable[EnrolmentChange], differences: Differences
) -> None:
    """Count by how many seats each session exceeded its capacity.

    An offered seat is taken. A seat given by the organiser above the capacity does not count.
    """
    holders: defaultdict[str, set[str]] = defaultdict(set)
    most: Counter[str] = Counter()
    for change in changes:
        taken, session = holders[change.session_id], model.sessions.get(change.session_id)
        if change.verdict.state not in ("enrolled", "offered"):
            taken.discard(change.enrolment_id)
        elif change.enrolment_id not in taken:
            taken.add(change.enrolment_id)
            if session is None or change.agent_id not in session.above_capacity:
                most[change.session_id] = max(most[change.session_id], len(taken))
    for session_id, peak in most.items():
        capacity = model.sessions[session_id].terms.seats.capacity if session_id in model.sessions else None
        if capacity is not None:
            what = f"seats too many at once in session {session_id}"
            differences.add("overbooked", max(0, peak - capacity), what)


def answers_received(model: ReferenceModel, decisions: DecisionLog) -> int:
    to_requests = sum(key in model.answers for key in decisions.answers)
    return to_requests + min(model.other_answers.total(), len(decisions.answers) - to_requests)


def figures(model: ReferenceModel, observed: Observed, differences: Differences) -> dict[str, Any]:
    """Return the content of `demo.json`, without its `seconds`."""
    decisions = observed.decisions
    verdicts = Counter(last.verdict.state for last in decisions.enrolments.values())
    reasons = Counter(last.verdict.reason for last in decisions.enrolments.values() if last.verdict.reason)
    kinds = Counter(request.name for request in model.requests.values())
    superseded, by_hand = observed.databases.superseded.total(), model.by_hand.total()
    ways = ("made", "accepted", "declined", "lapsed", "withdrawn")
    by_link = model.other_answers.total() - by_hand
    return {
        "requests": model.answers_due(),
        "answers": answers_received(model, decisions),
        "demands": model.demands().total(),
        **{state: verdicts[state] for state in _STATES},
        "refused": dict(sorted(reasons.items())),
        "offers": {way: decisions.offers[way] for way in ways} | {"open": decisions.open_offers()},
        "groups": kinds["GroupEnrolmentRequested"],
        "nominations": kinds["TraineesNominated"],
        "withdrawals": kinds["WithdrawalRequested"],
        "approvals": kinds["ApprovalDecided"],
        "corrections": kinds["AgentCorrected"],
        "moves": kinds["SessionSwapRequested"],
        "offers_answered": kinds["SeatOfferAnswered"] + by_link,
        "by_hand": by_hand,
        "above_capacity": sum(len(session.above_capacity) for session in model.sessions.values()),
        "reserved_seats_released": model.released,
        "minimums_missed": model.minimums_missed,
        "selection": observed.selection,
        "mails_expected": model.mails.total() - superseded,
        "mails_received": len(observed.mails.letters),
        "mails_superseded": superseded,
        **{kind: differences.counts[kind] for kind in ("lost", "duplicated", "overbooked")},
        "parked": observed.databases.parked,
    }
