"""Checks each promise of the system on the evidence of a run. It shares no code with the services."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.proof.evidence import Evidence
from tests.proof.promises import events, letters, requests, seats
from tests.proof.promises.reading import Break

LINES = 10
"""The most that is printed about a broken promise."""


@dataclass(frozen=True)
class Promise:
    """``check`` yields the events of each break. ``figure`` counts the breaks of promises of one kind."""

    name: str
    figure: str
    check: Callable[[Evidence], Iterator[Break]]


@dataclass(frozen=True)
class BrokenPromise:
    promise: Promise
    breaks: Sequence[Break]

    def __str__(self) -> str:
        lines = [f"Broken {len(self.breaks)} times: {self.promise.name}"]
        lines += [f"  {event}" for event in self.breaks[0]]
        if len(lines) > LINES:
            lines[LINES - 1 :] = [f"  and {len(lines) - LINES + 1} more"]
        return "\n".join(lines)


PROMISES = (
    Promise(
        "No decision gives a seat that the session does not have.",
        "overbooked",
        seats.seats_given_above_capacity,
    ),
    Promise("A free seat goes to the first in line.", "reordered", seats.seats_given_out_of_turn),
    Promise("Nobody waits beside a free seat.", "unseated", seats.agents_who_wait_beside_a_free_seat),
    Promise("A ranking is followed.", "reordered", seats.rankings_not_followed),
    Promise("The counters of a session are right.", "miscounted", seats.counters_that_differ),
    Promise("Each request gets an answer.", "lost", requests.requests_without_answer),
    Promise("No request gets a second answer.", "doubled", requests.requests_answered_twice),
    Promise(
        "The requests for a session are judged in order of receipt.",
        "reordered",
        requests.requests_judged_out_of_order,
    ),
    Promise(
        "A request by HTTP comes after those that were accepted before it was sent.",
        "reordered",
        requests.requests_by_http_that_changed_places,
    ),
    Promise("Slowness refuses no request.", "hasty", requests.requests_refused_by_slowness),
    Promise("What a client was told is done.", "lost", requests.promises_to_clients_not_kept),
    Promise("Recorded attendance is published.", "lost", seats.attendance_not_recorded),
    Promise("A request for training is kept once.", "lost", requests.requests_for_training_not_kept),
    Promise("An agent follows what was received last.", "stale", events.subscriptions_that_differ),
    Promise("Nothing of an erased agent is left.", "unforgotten", events.traces_of_erased_agents),
    Promise("Each stored event is published.", "lost", events.events_not_published),
    Promise("The events of a key are published in order.", "reordered", events.events_of_a_key_out_of_order),
    Promise("A portal hears its answers in order, without gaps.", "gaps", events.feeds_with_gaps),
    Promise("Each decision has its letter.", "lost", letters.decisions_without_their_letter),
    Promise("A decision has one letter at most.", "doubled", letters.decisions_with_a_letter_too_many),
    Promise("Each participant gets an organiser's message.", "lost", letters.messages_without_their_letter),
    Promise("An organiser's message is written once to each.", "doubled", letters.messages_written_twice),
    Promise("A letter that counts as sent was handed over.", "lost", letters.letters_lost),
    Promise("A letter is handed over once.", "doubled", letters.letters_handed_over_twice),
    Promise("A letter in doubt is shown.", "unshown", letters.letters_in_doubt_not_shown),
    Promise("A calendar entry never goes back.", "stale", letters.calendars_that_go_back),
    Promise(
        "A process that gets SIGTERM ends without an error.", "failed", events.processes_that_failed_to_end
    ),
    Promise("Copies are like their source.", "stale", events.copies_that_differ),
    Promise("The last state on a topic is the newest.", "stale", events.topics_that_end_with_an_old_state),
)


def broken_promises(evidence: Evidence) -> list[BrokenPromise]:
    found = [BrokenPromise(promise, list(promise.check(evidence))) for promise in PROMISES]
    return [broken for broken in found if broken.breaks]


def figures(broken: Sequence[BrokenPromise]) -> dict[str, int]:
    """Return how often promises of each kind are broken."""
    counts = dict.fromkeys((promise.figure for promise in PROMISES), 0)
    for each in broken:
        counts[each.promise.figure] += len(each.breaks)
    return counts
