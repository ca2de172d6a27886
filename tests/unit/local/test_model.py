"""The reference model of the rules: if it were wrong, the demonstration would prove nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from local.model.day import ReferenceModel, SentRequest
from local.model.seats import Reservation, Seats
from local.model.session import CatalogueSession
from local.people import Agent, Authority
from local.portal import requests
from local.portal.requests import Request

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SESSION = CatalogueSession(
    "s", "webinar", "IA", "bretagne", Seats(2), "automatic", NOW - timedelta(days=1), LATER, LATER
)
AUTHORITIES = [
    Authority.of_delegation("bretagne"),
    replace(Authority.of_delegation("corse"), domain="corse.example"),
]
ORGANISER = "inset@cnfpt.example"
numbers = count()

# How it starts; what happens; the states in the end; the reasons of refusals.
# `+aB`: a requests a seat, and B of Corsica; `-a` withdraws, `a!` accepts and `a?` declines an offer.
# E enrolled, O offered, W waiting, P pending, C candidate, - none of them: the agents by the alphabet.
SCENARIOS = [
    ("", "+abcd", "EEWW", ""),
    ("list=none", "+abc", "EE-", "session_full"),
    ("capacity=None", "+abcd", "EEEE", ""),
    ("capacity=0", "+a", "W", ""),
    ("", "+abcd -a", "-EEW", ""),
    ("", "+abc -c +c", "EEW", ""),
    ("", "+a +a", "E", "already_enrolled"),
    ("", "+abc cancel +d", "----", "session_cancelled"),
    ("opens=later", "+a", "-", "not_open_yet"),
    ("closes=now", "+a", "-", "deadline_passed"),
    ("functions=dirigeant", "+a", "-", "not_eligible"),
    ("capacity=1", "+abc close +d", "E---", "deadline_passed"),
    ("quota=1", "+abC", "EWE", ""),
    # An offered seat is taken until its offer ends.
    ("list=offer", "+abcde -a +f", "-EOWWW", ""),
    ("list=offer", "+abcde -a c? d!", "-E-EW", ""),
    ("list=offer", "+abcde -a lapse", "-E-OW", ""),
    ("list=offer", "+abcde -a -c", "-E-OW", ""),
    # Approval and selection.
    ("approval=employer", "+abc yes:a no:b", "E-P", "approval_denied"),
    ("approval=selection", "+abcd rank:dba/c", "WE-E", ""),
    ("approval=employer_then_selection", "+abc yes:ab no:c +a", "CC-", "approval_denied already_enrolled"),
    # Reserved seats are for their delegation until the release.
    ("reserved=1", "+XYZ", "EWW", ""),
    ("reserved=1", "+XYZ release", "EEW", ""),
    ("reserved=1", "+XYa", "EEW", ""),
    # By hand, also above the capacity; nobody follows on a seat that was too many.
    ("capacity=1", "+ab above:c -a", "-WE", ""),
    ("", "+a hand:b hand:c", "EEW", ""),
    # Groups: together, waiting together with seats kept, or each alone.
    ("", "group:abc group:ab", "EE-", "group_does_not_fit group_does_not_fit group_does_not_fit"),
    ("", "+ab wait:cd +e -a +f", "-EWWWW", ""),
    ("", "+ab wait:cd +e -a -b", "--EEW", ""),
    ("", "each:abc", "EEW", ""),
    # The whole list of an authority's own session.
    ("list=none siret=bretagne", "list:abX list:ac", "E-E-", "not_eligible"),
]


def an_agent(name: str) -> Agent:
    return Agent(name, f"{name}@ville.example", name, name, "agent", AUTHORITIES[name.isupper()])


def a_session(start: str) -> CatalogueSession:
    """Return the session of a scenario."""
    given = dict(word.split("=") for word in start.split())
    capacity = {"None": None, "0": 0, "1": 1}.get(given.get("capacity", ""), 2)
    reserved = (Reservation("bretagne", 1, LATER),) if "reserved" in given else ()
    return replace(
        SESSION,
        seats=Seats(capacity, 1 if "quota" in given else None, reserved),
        waiting_list=given.get("list", "automatic"),
        opens_at=LATER if "opens" in given else SESSION.opens_at,
        closes_at=NOW if "closes" in given else LATER,
        functions=("dirigeant",) if "functions" in given else (),
        approval=given.get("approval", "none"),
        sirets=(AUTHORITIES[0].siret,) if "siret" in given else (),
    )


def send(model: ReferenceModel, *sent: Request) -> None:
    model.receive([SentRequest(request, 0, next(numbers), NOW) for request in sent])


def play(model: ReferenceModel, step: str) -> None:
    """Play a step of a scenario."""
    verb, _, names = step.partition(":")
    agents = [an_agent(name) for name in names.replace("/", "")]
    match verb:
        case "cancel":
            model.cancel("s")
        case "lapse":
            model.let_offers_lapse("s")
        case "release":
            model.release_reserved_seats("s")
        case "close":
            model.close_enrolment("s", NOW, ORGANISER)
        case "rank":
            ranked, _, refused = names.partition("/")
            model.select("s", list(ranked), list(refused))
        case "hand" | "above":
            model.enrol_by_hand("s", agents[0], above_capacity=verb == "above")
        case "yes" | "no":
            send(model, *(requests.approval("s", agent, granted=verb == "yes") for agent in agents))
        case "group" | "wait" | "each":
            group = requests.group("s", agents, all_or_nothing=verb != "each", may_wait=verb == "wait")
            send(model, group)
        case "list":
            send(model, requests.nomination("s", agents, AUTHORITIES[0]))
        case _ if verb[0] == "+":
            send(model, *(requests.seat("s", an_agent(name)) for name in verb[1:]))
        case _ if verb[0] == "-":
            send(model, requests.withdrawal("s", an_agent(verb[1])))
        case _:
            send(model, requests.offer_answer("s", an_agent(verb[0]), accepted=verb[1] == "!"))


def a_model(start: str = "", steps: str = "") -> ReferenceModel:
    model = ReferenceModel([a_session(start)])
    for step in steps.split():
        play(model, step)
    return model


def states(model: ReferenceModel, names: Sequence[str]) -> str:
    session = model.sessions["s"]
    groups = {
        "E": session.enrolled,
        "O": session.offered,
        "W": session.waiting,
        "P": session.pending,
        "C": session.candidates,
    }
    return "".join(next((code for code, group in groups.items() if name in group), "-") for name in names)


@pytest.mark.parametrize(
    ("start", "steps", "expected", "reasons"), SCENARIOS, ids=[" ".join(row[:2]) for row in SCENARIOS]
)
def test_the_model_follows_the_rules(start: str, steps: str, expected: str, reasons: str) -> None:
    model = a_model(start, steps)
    decided = [*model.consequences, *model.other_answers]
    agents = {name for _, name in model.answers} | {name for _, _, name in decided}
    assert states(model, sorted(agents, key=str.lower)) == expected
    assert [verdict.reason for verdict in model.answers.values() if verdict.reason] == reasons.split()


def test_requests_count_in_the_order_of_their_offsets_and_each_id_once() -> None:
    model = ReferenceModel([SESSION])
    first, second, third = (
        SentRequest(requests.seat("s", an_agent(name)), 0, number, NOW) for number, name in enumerate("abc")
    )
    model.receive([third, first, second, replace(first, offset=9)])
    assert states(model, "abc") == "EEW"
    assert model.answers_due() == 3
    unknown = ReferenceModel()
    send(unknown, requests.seat("s", an_agent("a")))
    assert [verdict.reason for verdict in unknown.answers.values()] == ["unknown_session"]


def test_each_decision_is_one_letter_and_a_replay_is_for_the_enrolled() -> None:
    model = a_model("", "+abcd -a")
    model.publish_replay("s")
    letters = {"a": 2, "b": 2, "c": 3, "d": 1}
    assert model.mails == {f"{name}@ville.example": count for name, count in letters.items()}


def test_offers_rankings_and_releases_are_counted() -> None:
    model = a_model("list=offer", "+abcde -a c? lapse")
    model.answer_by_link("s", an_agent("e"))
    assert model.offers == {"made": 3, "declined": 1, "lapsed": 1, "accepted": 1}
    assert model.answers_due() == 5 + 1 + 1 + 1
    ranked = a_model("approval=selection", "+abcd rank:dba/c")
    assert ranked.selection == {"enrolled": 2, "waitlisted": 1, "refused": 1}
    assert a_model("reserved=1", "+XYZ release").released == 1


def test_only_a_seat_that_was_not_free_is_above_the_capacity() -> None:
    model = a_model("", "+a above:b hand:c above:d")
    assert model.sessions["s"].above_capacity == {"d"}
    assert (model.demands(), model.answers_due()) == ({"s": 4}, 4)


def test_a_correction_is_written_to_the_former_address_and_what_follows_to_the_new() -> None:
    model = a_model("capacity=1", "+ab")
    send(model, requests.correction(an_agent("b"), "new@ville.example"))
    play(model, "-a")
    assert model.corrections == {("b", "new@ville.example"): 1}
    assert (model.mails["b@ville.example"], model.mails["new@ville.example"]) == (2, 1)


@pytest.mark.parametrize(("minimum", "missed"), [(1, 0), (2, 1)])
def test_the_organiser_hears_at_the_close_that_too_few_take_part(minimum: int, missed: int) -> None:
    model = ReferenceModel([replace(SESSION, minimum=minimum)])
    play(model, "+a")
    model.close_enrolment("s", NOW, ORGANISER)
    assert model.minimums_missed == model.mails[ORGANISER] == missed


def test_a_move_gives_a_seat_there_for_the_seat_here_and_is_one_letter() -> None:
    one_seat = replace(SESSION, seats=Seats(1))
    model = ReferenceModel([one_seat, replace(one_seat, session_id="t")])
    send(model, *(requests.seat("s", an_agent(name)) for name in "ab"))
    moves = [("s", "a", "t"), ("t", "a", "s"), ("s", "c", "t")]
    send(model, *(requests.swap(here, an_agent(name), there) for here, name, there in moves))
    decided = [verdict.reason or verdict.state for verdict in model.answers.values()][2:]
    assert decided == ["enrolled", "session_full", "not_enrolled"]
    assert [list(session.enrolled) for session in model.sessions.values()] == [["b"], ["a"]]
    assert model.mails["a@ville.example"] == 3
    assert model.demands() == {"s": 2, "t": 1}
