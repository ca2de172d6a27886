"""The demonstration's own model of the rules: if it were wrong, the demonstration would prove nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from local.books import Answer, Books, SessionFacts
from local.people import Agent
from local.portal import Ask, Kind, Sent

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
OFFERS = replace(WEBINAR, waiting_list="offer")
BESPOKE = replace(WEBINAR, format="bespoke", waiting_list="none", sirets=("1",))
offsets = count()


def an_agent(name: str, function: str = "agent", *, delegation: str = "bretagne", siret: str = "1") -> Agent:
    return Agent(name, f"{name}@ville.example", name, name, function, siret, "Ville", delegation)


def sent(ask: Ask) -> Sent:
    return Sent(ask, 0, next(offsets), NOW)


def asked(
    name: str,
    *,
    session_id: str = "s",
    kind: Kind = Kind.ENROLMENT,
    function: str = "agent",
    yes: bool = True,
) -> Sent:
    return sent(Ask(session_id, an_agent(name, function), kind, says_yes=yes))


def several(kind: Kind, *agents: Agent, all_or_nothing: bool = False) -> Sent:
    return sent(Ask("s", agents[0], kind, agents=agents, says_yes=all_or_nothing))


def outcomes(books: Books, *requests: Sent) -> list[str]:
    """Record the requests and say what each was answered: the outcome, or why it was refused."""
    books.record(requests)
    return [
        answer.reason or answer.outcome
        for one in requests
        for agent in one.ask.agents or (one.ask.agent,)
        if (answer := books.answers.get((one.ask.ce_id, agent.agent_id))) is not None
    ]


def followed(books: Books) -> list[str]:
    """What followed without being asked, as `agent: outcome`, in order."""
    return [f"{agent_id}: {answer.reason or answer.outcome}" for answer, _, agent_id in books.followed]


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
    assert followed(books) == ["c: enrolled"]
    assert books.mails == {
        f"{name}@ville.example": mails for name, mails in zip("abcd", (2, 1, 2, 1), strict=True)
    }


def test_who_leaves_the_line_lets_nobody_in_and_queues_anew_when_asking_again() -> None:
    books = Books([WEBINAR])
    books.record([asked(name) for name in "abcd"])
    assert outcomes(books, asked("c", kind=Kind.WITHDRAWAL), asked("c")) == ["withdrawn", "waitlisted"]
    assert list(books.sessions["s"].line) == ["d", "c"]
    assert not books.followed


def test_the_same_request_counts_once_and_the_same_agent_is_enrolled_already() -> None:
    books = Books([WEBINAR])
    once = asked("a")
    again = replace(once, offset=next(offsets))
    books.record([once, again])
    assert outcomes(books, asked("a")) == ["already_enrolled"]
    assert books.due() == 2
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
    assert followed(books) == ["a: cancelled", "b: cancelled", "c: cancelled"]
    assert outcomes(books, asked("d")) == ["session_cancelled"]


def test_a_replay_is_told_to_those_who_sit_only() -> None:
    books = Books([WEBINAR])
    books.record([asked(name) for name in "abc"])
    books.announce_replay("s")
    assert books.mails == {"a@ville.example": 2, "b@ville.example": 2, "c@ville.example": 1}


def test_an_answer_is_equal_to_another_only_with_its_reason() -> None:
    assert Answer("refused", "session_full") != Answer("refused", "deadline_passed")


# ------------------------------------------------------------------------------------------ offers


def books_with_an_offer_to_c() -> Books:
    """Of two seats a has left one; b sits, c has the offer, d and e wait."""
    books = Books([OFFERS])
    books.record([*(asked(name) for name in "abcde"), asked("a", kind=Kind.WITHDRAWAL)])
    assert followed(books) == ["c: offered"]
    return books


def test_a_seat_that_is_offered_is_taken_until_it_is_left() -> None:
    books = books_with_an_offer_to_c()
    assert outcomes(books, asked("f")) == ["waitlisted"]
    assert list(books.sessions["s"].line) == ["d", "e", "f"]


def test_an_offer_is_taken_or_goes_to_the_next_in_line() -> None:
    books = books_with_an_offer_to_c()
    answers = [asked("c", kind=Kind.OFFER_ANSWER, yes=False), asked("d", kind=Kind.OFFER_ANSWER)]
    assert outcomes(books, *answers) == ["lapsed", "enrolled"]
    assert list(books.sessions["s"].seated) == ["b", "d"]
    assert books.offers == {"made": 2, "declined": 1, "accepted": 1}


def test_an_offer_that_nobody_answers_lapses_and_is_passed_on() -> None:
    books = books_with_an_offer_to_c()
    books.lapse("s")
    assert followed(books) == ["c: offered", "c: lapsed", "d: offered"]
    assert books.offers == {"made": 2, "lapsed": 1}


def test_who_withdraws_from_an_offer_leaves_it_to_the_next() -> None:
    books = books_with_an_offer_to_c()
    assert outcomes(books, asked("c", kind=Kind.WITHDRAWAL)) == ["withdrawn"]
    assert list(books.sessions["s"].offered) == ["d"]
    assert books.offers == {"made": 2, "withdrawn": 1}


def test_an_answer_by_a_link_is_due_like_any_other() -> None:
    books = books_with_an_offer_to_c()
    due = books.due()
    books.answer_by_link("s", an_agent("c"), accepted=True)
    assert books.due() == due + 1
    assert list(books.sessions["s"].seated) == ["b", "c"]


# ------------------------------------------------------------ selection, approval, reserved seats


def test_the_ranked_fill_the_seats_then_the_line_and_the_others_are_not_selected() -> None:
    books = Books([replace(WEBINAR, approval="selection")])
    assert outcomes(books, *map(asked, "abcd")) == ["pending"] * 4
    books.select("s", ["d", "b", "a"], ["c"])
    assert followed(books) == ["d: enrolled", "b: enrolled", "a: waitlisted", "c: not_selected"]
    assert books.selection == {"enrolled": 2, "waitlisted": 1, "refused": 1}


def test_an_employer_s_yes_gives_a_seat_and_their_no_refuses() -> None:
    books = Books([replace(WEBINAR, approval="employer")])
    assert outcomes(books, asked("a"), asked("b")) == ["pending", "pending"]
    decided = [asked("a", kind=Kind.APPROVAL), asked("b", kind=Kind.APPROVAL, yes=False)]
    assert outcomes(books, *decided) == ["enrolled", "approval_denied"]


def test_reserved_seats_are_for_their_delegation_until_they_are_released() -> None:
    books = Books([replace(WEBINAR, reserved=(("bretagne", 1),))])
    others = [sent(Ask("s", an_agent(name, delegation="corse"))) for name in "xyz"]
    assert outcomes(books, *others) == ["enrolled", "waitlisted", "waitlisted"]
    books.release("s")
    assert followed(books) == ["y: enrolled"]
    assert books.released == 1


def test_who_a_seat_is_reserved_for_takes_it_past_a_line_of_others() -> None:
    books = Books([replace(WEBINAR, reserved=(("bretagne", 1),))])
    others = [sent(Ask("s", an_agent(name, delegation="corse"))) for name in "xy"]
    assert outcomes(books, *others, asked("a")) == ["enrolled", "waitlisted", "enrolled"]


# -------------------------------------------------------------------------------- groups and lists


def test_a_group_has_all_its_seats_or_none() -> None:
    books = Books([WEBINAR])
    three = [an_agent(name) for name in "abc"]
    assert outcomes(books, several(Kind.GROUP, *three, all_or_nothing=True)) == ["group_does_not_fit"] * 3
    assert outcomes(books, several(Kind.GROUP, *three[:2], all_or_nothing=True)) == ["enrolled"] * 2
    assert books.due() == 5


def test_without_all_or_nothing_each_of_a_group_is_answered_in_the_order_given() -> None:
    group = several(Kind.GROUP, *(an_agent(name) for name in "abc"))
    assert outcomes(Books([WEBINAR]), group) == ["enrolled", "enrolled", "waitlisted"]


def test_a_list_sent_anew_replaces_who_is_not_on_it_any_more() -> None:
    books = Books([BESPOKE])
    stranger = an_agent("x", siret="2")
    first = several(Kind.NOMINATION, an_agent("a"), an_agent("b"), stranger)
    assert outcomes(books, first) == ["enrolled", "enrolled", "not_eligible"]
    assert outcomes(books, several(Kind.NOMINATION, an_agent("a"), an_agent("c"))) == ["enrolled"]
    assert followed(books) == ["b: withdrawn"]
    assert list(books.sessions["s"].seated) == ["a", "c"]
