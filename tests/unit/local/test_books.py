"""The demonstration's own model of the rules: if it were wrong, the demonstration would prove nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from shared.local.books import Answer, Books, SessionFacts
from shared.local.people import Agent
from shared.local.portal import Ask, Kind, Sent

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
WEBINAR = SessionFacts(
    session_id="s",
    format="webinar",
    title="IA",
    organiser="bretagne",
    capacity=2,
    waiting_list="automatic",
    opens_at=NOW - timedelta(days=1),
    closes_at=NOW + timedelta(days=1),
    starts_at=NOW + timedelta(days=2),
    functions=(),
)
offsets = count()


def an_agent(name: str, function: str = "agent") -> Agent:
    return Agent(name, f"{name}@ville.example", name, name, function, "21350238800019", "Ville", "bretagne")


def asked(name: str, *, session_id: str = "s", kind: Kind = Kind.ENROLMENT, function: str = "agent") -> Sent:
    return Sent(Ask(session_id, an_agent(name, function), kind), 0, next(offsets), NOW)


def outcomes(books: Books, *sent: Sent) -> list[str]:
    """Record the requests and say what each was answered: the outcome, or why it was refused."""
    books.record(sent)
    return [books.answers[one.ask.ce_id].reason or books.answers[one.ask.ce_id].outcome for one in sent]


def test_seats_go_in_the_order_of_offsets_and_never_beyond_the_capacity() -> None:
    books = Books([WEBINAR])
    first, second, third = asked("a"), asked("b"), asked("c")
    assert outcomes(books, third, first, second) == ["waitlisted", "enrolled", "enrolled"]


def test_a_full_session_without_a_line_refuses() -> None:
    books = Books([replace(WEBINAR, capacity=1, waiting_list="none")])
    assert outcomes(books, asked("a"), asked("b")) == ["enrolled", "session_full"]


def test_no_capacity_means_no_limit_and_capacity_zero_no_seat() -> None:
    assert outcomes(Books([replace(WEBINAR, capacity=None)]), *map(asked, "abcd")) == ["enrolled"] * 4
    assert outcomes(Books([replace(WEBINAR, capacity=0)]), asked("a")) == ["waitlisted"]


def test_a_withdrawal_passes_the_seat_to_the_first_in_line_and_mails_both() -> None:
    books = Books([WEBINAR])
    books.record([asked(name) for name in "abcd"])
    assert outcomes(books, asked("a", kind=Kind.WITHDRAWAL)) == ["withdrawn"]
    assert list(books.sessions["s"].seated) == ["b", "c"]
    assert list(books.sessions["s"].line) == ["d"]
    assert books.promoted == {("s", "c"): 1}
    assert books.mails == {
        f"{name}@ville.example": mails for name, mails in zip("abcd", (2, 1, 2, 1), strict=True)
    }


def test_who_leaves_the_line_lets_nobody_in_and_queues_anew_when_asking_again() -> None:
    books = Books([WEBINAR])
    books.record([asked(name) for name in "abcd"])
    assert outcomes(books, asked("c", kind=Kind.WITHDRAWAL), asked("c")) == ["withdrawn", "waitlisted"]
    assert list(books.sessions["s"].line) == ["d", "c"]
    assert not books.promoted


def test_the_same_request_counts_once_and_the_same_agent_is_enrolled_already() -> None:
    books = Books([WEBINAR])
    once = asked("a")
    again = replace(once, offset=next(offsets))
    books.record([once, again])
    assert outcomes(books, asked("a")) == ["already_enrolled"]
    assert len(books.answers) == 2
    assert books.mails == {"a@ville.example": 2}


def test_each_refusal_has_its_reason() -> None:
    assert outcomes(Books([]), asked("a")) == ["unknown_session"]
    assert outcomes(Books([replace(WEBINAR, opens_at=NOW + timedelta(seconds=1))]), asked("a")) == [
        "not_open_yet"
    ]
    assert outcomes(Books([replace(WEBINAR, closes_at=NOW)]), asked("a")) == ["deadline_passed"]
    assert outcomes(Books([replace(WEBINAR, functions=("dirigeant",))]), asked("a")) == ["not_eligible"]
    assert outcomes(
        Books([replace(WEBINAR, functions=("dirigeant",))]), asked("a", function="dirigeant")
    ) == ["enrolled"]


def test_a_cancelled_session_ends_every_enrolment_and_refuses_who_comes_after() -> None:
    books = Books([WEBINAR])
    books.record([asked(name) for name in "abc"])
    books.cancel("s")
    assert books.ended == {("s", name): 1 for name in "abc"}
    assert outcomes(books, asked("d")) == ["session_cancelled"]
    assert books.refused() == {"session_cancelled": 1}


def test_a_replay_is_told_to_those_who_sit_only() -> None:
    books = Books([WEBINAR])
    books.record([asked(name) for name in "abc"])
    books.announce_replay("s")
    assert books.mails == {"a@ville.example": 2, "b@ville.example": 2, "c@ville.example": 1}


def test_an_answer_is_equal_to_another_only_with_its_reason() -> None:
    assert Answer("refused", "session_full") != Answer("refused", "deadline_passed")
