"""What differs from the reference model: lost, duplicated, overbooked or otherwise wrong. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.demo.model import ReferenceModel
from local.demo.observed import Databases, DecisionLog, OrderedDecision, ReceivedMails
from local.demo.portal import RequestKind


@dataclass
class Differences:
    """How many of each kind. `details` names the first differences of each."""

    lost: int = 0
    duplicated: int = 0
    overbooked: int = 0
    wrong: int = 0
    details: list[str] = field(default_factory=list)

    def add(self, kind: str, count: int, what: str) -> None:
        """Count differences of a kind: lost, duplicated, overbooked or wrong."""
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            self.details.append(f"{kind}: {count} {what}")

    def __add__(self, other: "Differences") -> "Differences":
        return Differences(
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.overbooked + other.overbooked,
            self.wrong + other.wrong,
            self.details + other.details,
        )

    @property
    def none(self) -> bool:
        return not self.details


@dataclass(frozen=True)
class Observed:
    """What happened, whole: decisions, mails, what the databases say, the answer to the organiser's ranking.

    `malformed` is how many unreadable records were sent.
    """

    decisions: DecisionLog
    mails: ReceivedMails
    databases: Databases
    selection: Mapping[str, int]
    malformed: int


def compare(model: ReferenceModel, observed: Observed) -> Differences:
    """Compare everything."""
    databases = observed.databases
    capacities = {session_id: session.terms.capacity for session_id, session in model.sessions.items()}
    added = {
        (session_id, agent_id)
        for session_id, session in model.sessions.items()
        for agent_id in session.above_capacity
    }
    differences = Differences()
    for found in (
        compare_answers(model, observed.decisions),
        compare_corrections(model, observed.decisions),
        compare_offers(model, observed.decisions),
        compare_enrolments(model, observed.decisions),
        compare_selection(model, observed.selection),
        compare_mails(model, observed.mails, databases.superseded_mails),
        compare_seats(model, databases.seats),
        compare_moments(capacities, databases.decisions, added),
    ):
        differences += found
    unanswered = (RequestKind.BESPOKE, RequestKind.CORRECTION)  # they are about no seat
    answered = sum(request.kind not in unanswered for request in model.requests.values())
    differences.add("wrong", answered - databases.decided, "requests without an outcome in the database")
    malformed, parked = observed.malformed, databases.parked
    differences.add("lost", max(0, malformed - parked), "unreadable records that were not parked")
    differences.add("wrong", max(0, parked - malformed), "readable records that were parked")
    unsent = databases.unsent_mails
    differences.add("wrong", sum(unsent.values()), f"mails in the queue that are not sent: {unsent}")
    return differences


def compare_answers(model: ReferenceModel, decisions: DecisionLog) -> Differences:
    """Compare the decisions topic with the model: every request answered once, and as it should be.

    A request about several agents is answered once to each of them.
    """
    differences = Differences()
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
    # The page behind a link, and the API, give requests ids of their own, which nobody knows from outside.
    unexpected = Counter(
        (given[0], decisions.sessions[key], key[1])
        for key, given in decisions.answers.items()
        if key not in model.answers
    )
    others = model.other_answers()
    strangers, silent = unexpected - others, others - unexpected
    what = f"answers to requests nobody sent, such as {list(strangers)[:3]}"
    differences.add("wrong", strangers.total(), what)
    differences.add("lost", silent.total(), f"answers by a link or to an organiser: {list(silent)[:3]}")
    expected, seen = model.consequences, decisions.consequences
    for kind, differing in (("lost", expected - seen), ("duplicated", seen - expected)):
        what = "seats passed on, offers, lapses, selections, cancellations and ends of lines"
        differences.add(kind, differing.total(), f"{what}, such as {list(differing)[:3]}")
    return differences


def compare_corrections(model: ReferenceModel, decisions: DecisionLog) -> Differences:
    """Check that each address was corrected, once."""
    differences = Differences()
    missing, extra = (
        model.corrections - decisions.corrections,
        decisions.corrections - model.corrections,
    )
    differences.add("lost", missing.total(), "addresses that were not corrected")
    differences.add("duplicated", extra.total(), "addresses that were corrected though nobody asked")
    return differences


def compare_offers(model: ReferenceModel, decisions: DecisionLog) -> Differences:
    """Check that what became of the offers adds up, and is what the model says."""
    differences = Differences()
    offers = decisions.offers
    ended = sum(count for outcome, count in offers.items() if outcome != "made")
    unexplained = offers["made"] - ended - decisions.open_offers()
    differences.add("wrong", abs(unexplained), f"offers of which nobody knows what became: {dict(offers)}")
    if offers != model.offers:
        differing = (offers - model.offers).total() + (model.offers - offers).total()
        differences.add("wrong", differing, f"offers: {dict(offers)} instead of {dict(model.offers)}")
    return differences


def compare_enrolments(model: ReferenceModel, decisions: DecisionLog) -> Differences:
    """Check that each demand for a seat is one enrolment, wherever it stands now."""
    differences = Differences()
    enrolments, demands = len(decisions.enrolments), model.demands().total()
    differences.add(
        "wrong", abs(enrolments - demands), f"demands for a seat and enrolments differ: {enrolments}"
    )
    return differences


def compare_selection(model: ReferenceModel, selection: Mapping[str, int]) -> Differences:
    """Check what the ranking was answered: how many have a seat, wait and are not selected."""
    differences = Differences()
    if dict(selection) != dict(model.selection):
        differences.add("wrong", 1, f"selection: {dict(selection)} instead of {dict(model.selection)}")
    return differences


def compare_mails(
    model: ReferenceModel,
    mails: ReceivedMails,
    superseded: Counter[str],
) -> Differences:
    """Compare the mailbox with the model: every letter that is due, once.

    A letter that was superseded before it left (a confirmation, when the agent has withdrawn since) counts
    as received.
    """
    differences = Differences()
    settled = mails.by_address + superseded
    missing, extra = model.mails - settled, settled - model.mails
    differences.add("lost", missing.total(), f"mails that did not come, to {list(missing)[:3]}")
    differences.add("duplicated", extra.total(), f"mails too many, to {list(extra)[:3]}")
    twice = [message_id for message_id, count in mails.message_ids.items() if count > 1]
    differences.add("duplicated", len(twice), f"mails that came twice, such as {twice[:3]}")
    return differences


def compare_seats(
    model: ReferenceModel,
    seats: Mapping[str, Counter[tuple[str, str]]],
) -> Differences:
    """Compare the enrolment database with the model: who has a seat, has an offer and waits."""
    differences = Differences()
    for state, group in (("enrolled", "enrolled"), ("offered", "offered"), ("waitlisted", "waiting")):
        expected = Counter(
            (session_id, agent_id)
            for session_id, session in model.sessions.items()
            for agent_id in getattr(session, group)
        )
        found = seats.get(state, Counter())
        # Not lost or duplicated once more: what was answered and mailed is counted by the other comparisons.
        missing, extra = expected - found, found - expected
        differences.add("wrong", missing.total(), f"{state} missing in the database: {list(missing)[:3]}")
        differences.add("wrong", extra.total(), f"{state} that are nobody's: {list(extra)[:3]}")
    return differences


def compare_moments(
    capacities: Mapping[str, int | None],
    decisions: Iterable[OrderedDecision],
    added: Collection[tuple[str, str]] = (),
) -> Differences:
    """Go through the decisions in their order: nobody takes a seat when all are taken.

    A seat that is offered is taken. `added`: who was given a seat above the capacity, as (session_id,
    agent_id); nobody else may be. Counts by how many seats each session was ever exceeded.
    """
    differences = Differences()
    holders: defaultdict[str, set[str]] = defaultdict(set)
    most: Counter[str] = Counter()
    for decision in decisions:
        taken = holders[decision.session_id]
        if decision.outcome not in ("enrolled", "offered"):
            taken.discard(decision.enrolment_id)
        elif decision.enrolment_id not in taken:
            taken.add(decision.enrolment_id)
            if (decision.session_id, decision.agent_id) not in added:
                most[decision.session_id] = max(most[decision.session_id], len(taken))
    for session_id, peak in most.items():
        capacity = capacities.get(session_id)
        if capacity is not None:
            what = f"seats too many at once in session {session_id}"
            differences.add("overbooked", max(0, peak - capacity), what)
    return differences


def answers_received(model: ReferenceModel, decisions: DecisionLog) -> int:
    """Return how many of the answers that are due have come."""
    to_requests = sum(key in model.answers for key in decisions.answers)
    return to_requests + min(model.other_answers().total(), len(decisions.answers) - to_requests)


def figures(model: ReferenceModel, observed: Observed, differences: Differences) -> dict[str, Any]:
    """Return what `demo.json` holds, its `seconds` aside."""
    decisions = observed.decisions
    outcomes = Counter(last.outcome for last in decisions.enrolments.values())
    reasons = Counter(last.reason for last in decisions.enrolments.values() if last.reason is not None)
    kinds = Counter(request.kind for request in model.requests.values())
    superseded = observed.databases.superseded_mails.total()
    ways = ("made", "accepted", "declined", "lapsed", "withdrawn")
    return {
        "requests": model.answers_due(),
        "answers": answers_received(model, decisions),
        "demands": model.demands().total(),
        **{
            outcome: outcomes[outcome]
            for outcome in (
                "enrolled",
                "waitlisted",
                "offered",
                "pending",
                "withdrawn",
                "cancelled",
                "lapsed",
                "not_obtained",
            )
        },
        "refused": dict(sorted(reasons.items())),
        "offers": {way: decisions.offers[way] for way in ways} | {"open": decisions.open_offers()},
        "groups": kinds[RequestKind.GROUP],
        "nominations": kinds[RequestKind.NOMINATION],
        "withdrawals": kinds[RequestKind.WITHDRAWAL],
        "approvals": kinds[RequestKind.APPROVAL],
        "corrections": kinds[RequestKind.CORRECTION],
        "moves": kinds[RequestKind.SWAP],
        "offers_answered": kinds[RequestKind.OFFER_ANSWER] + model.link_answers.total(),
        "by_hand": model.answers_by_hand.total(),
        "above_capacity": sum(len(session.above_capacity) for session in model.sessions.values()),
        "reserved_seats_released": model.released,
        "minimums_missed": model.minimums_missed,
        "selection": observed.selection,
        "mails_expected": model.mails.total() - superseded,
        "mails_received": observed.mails.by_address.total(),
        "mails_superseded": superseded,
        "lost": differences.lost,
        "duplicated": differences.duplicated,
        "overbooked": differences.overbooked,
        "parked": observed.databases.parked,
    }
