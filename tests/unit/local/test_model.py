"""The reference model of the rules: if it were wrong, the demonstration would prove nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from local.demo.model import ReferenceModel
from local.demo.people import Agent
from local.demo.portal import PortalRequest, RequestKind, SentRequest
from local.demo.session_model import Answer, CatalogueSession

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
WEBINAR = CatalogueSession(
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


def sent(request: PortalRequest) -> SentRequest:
    return SentRequest(request, 0, next(offsets), NOW)


def a_request(
    name: str,
    *,
    session_id: str = "s",
    kind: RequestKind = RequestKind.ENROLMENT,
    function: str = "agent",
    yes: bool = True,
) -> SentRequest:
    return sent(PortalRequest(session_id, an_agent(name, function), kind, says_yes=yes))


def a_request_for(kind: RequestKind, *agents: Agent, all_or_nothing: bool = False) -> SentRequest:
    return sent(PortalRequest("s", agents[0], kind, agents=agents, says_yes=all_or_nothing))


def outcomes(model: ReferenceModel, *requests: SentRequest) -> list[str]:
    """Have the model answer requests; return the outcome of each, or why it was refused."""
    model.receive(requests)
    return [
        answer.reason or answer.outcome
        for each in requests
        for agent in each.request.agents or (each.request.agent,)
        if (answer := model.answers.get((each.request.ce_id, agent.agent_id))) is not None
    ]


def consequences(model: ReferenceModel) -> list[str]:
    """What happened without a request, as `agent: outcome`, in order."""
    return [f"{agent_id}: {answer.reason or answer.outcome}" for answer, _, agent_id in model.consequences]


def test_seats_go_in_the_order_of_offsets_and_never_beyond_the_capacity() -> None:
    model = ReferenceModel([WEBINAR])
    first, second, third = a_request("a"), a_request("b"), a_request("c")
    assert outcomes(model, third, first, second) == ["waitlisted", "enrolled", "enrolled"]


def test_a_full_session_without_a_line_refuses() -> None:
    model = ReferenceModel([replace(WEBINAR, capacity=1, waiting_list="none")])
    assert outcomes(model, a_request("a"), a_request("b")) == ["enrolled", "session_full"]


def test_no_capacity_means_no_limit_and_capacity_zero_no_seat() -> None:
    assert (
        outcomes(ReferenceModel([replace(WEBINAR, capacity=None)]), *map(a_request, "abcd"))
        == ["enrolled"] * 4
    )
    assert outcomes(ReferenceModel([replace(WEBINAR, capacity=0)]), a_request("a")) == ["waitlisted"]


def test_a_withdrawal_passes_the_seat_to_the_first_in_line_and_mails_both() -> None:
    model = ReferenceModel([WEBINAR])
    model.receive([a_request(name) for name in "abcd"])
    assert outcomes(model, a_request("a", kind=RequestKind.WITHDRAWAL)) == ["withdrawn"]
    assert list(model.sessions["s"].enrolled) == ["b", "c"]
    assert list(model.sessions["s"].waiting) == ["d"]
    assert consequences(model) == ["c: enrolled"]
    assert model.mails == {
        f"{name}@ville.example": mails for name, mails in zip("abcd", (2, 1, 2, 1), strict=True)
    }


def test_who_leaves_the_line_lets_nobody_in_and_queues_anew_when_asking_again() -> None:
    model = ReferenceModel([WEBINAR])
    model.receive([a_request(name) for name in "abcd"])
    assert outcomes(model, a_request("c", kind=RequestKind.WITHDRAWAL), a_request("c")) == [
        "withdrawn",
        "waitlisted",
    ]
    assert list(model.sessions["s"].waiting) == ["d", "c"]
    assert not model.consequences


def test_the_same_request_counts_once_and_the_same_agent_is_enrolled_already() -> None:
    model = ReferenceModel([WEBINAR])
    once = a_request("a")
    again = replace(once, offset=next(offsets))
    model.receive([once, again])
    assert outcomes(model, a_request("a")) == ["already_enrolled"]
    assert model.answers_due() == 2
    assert model.mails == {"a@ville.example": 2}


def test_each_refusal_has_its_reason() -> None:
    assert outcomes(ReferenceModel([]), a_request("a")) == ["unknown_session"]
    assert outcomes(
        ReferenceModel([replace(WEBINAR, opens_at=NOW + timedelta(seconds=1))]), a_request("a")
    ) == ["not_open_yet"]
    assert outcomes(ReferenceModel([replace(WEBINAR, closes_at=NOW)]), a_request("a")) == ["deadline_passed"]
    assert outcomes(ReferenceModel([replace(WEBINAR, functions=("dirigeant",))]), a_request("a")) == [
        "not_eligible"
    ]
    assert outcomes(
        ReferenceModel([replace(WEBINAR, functions=("dirigeant",))]), a_request("a", function="dirigeant")
    ) == ["enrolled"]


def test_a_cancelled_session_ends_every_enrolment_and_refuses_who_comes_after() -> None:
    model = ReferenceModel([WEBINAR])
    model.receive([a_request(name) for name in "abc"])
    model.cancel("s")
    assert consequences(model) == ["a: cancelled", "b: cancelled", "c: cancelled"]
    assert outcomes(model, a_request("d")) == ["session_cancelled"]


def test_a_replay_is_told_to_those_who_sit_only() -> None:
    model = ReferenceModel([WEBINAR])
    model.receive([a_request(name) for name in "abc"])
    model.publish_replay("s")
    assert model.mails == {"a@ville.example": 2, "b@ville.example": 2, "c@ville.example": 1}


def test_an_answer_is_equal_to_another_only_with_its_reason() -> None:
    assert Answer("refused", "session_full") != Answer("refused", "deadline_passed")


# ------------------------------------------------------------------------------------------ offers


def a_model_with_an_offer_to_c() -> ReferenceModel:
    """Of two seats a has left one; b sits, c has the offer, d and e wait."""
    model = ReferenceModel([OFFERS])
    model.receive([*(a_request(name) for name in "abcde"), a_request("a", kind=RequestKind.WITHDRAWAL)])
    assert consequences(model) == ["c: offered"]
    return model


def test_a_seat_that_is_offered_is_taken_until_it_is_left() -> None:
    model = a_model_with_an_offer_to_c()
    assert outcomes(model, a_request("f")) == ["waitlisted"]
    assert list(model.sessions["s"].waiting) == ["d", "e", "f"]


def test_an_offer_is_taken_or_goes_to_the_next_in_line() -> None:
    model = a_model_with_an_offer_to_c()
    answers = [
        a_request("c", kind=RequestKind.OFFER_ANSWER, yes=False),
        a_request("d", kind=RequestKind.OFFER_ANSWER),
    ]
    assert outcomes(model, *answers) == ["lapsed", "enrolled"]
    assert list(model.sessions["s"].enrolled) == ["b", "d"]
    assert model.offers == {"made": 2, "declined": 1, "accepted": 1}


def test_an_offer_that_nobody_answers_lapses_and_is_passed_on() -> None:
    model = a_model_with_an_offer_to_c()
    model.let_offers_lapse("s")
    assert consequences(model) == ["c: offered", "c: lapsed", "d: offered"]
    assert model.offers == {"made": 2, "lapsed": 1}


def test_who_withdraws_from_an_offer_leaves_it_to_the_next() -> None:
    model = a_model_with_an_offer_to_c()
    assert outcomes(model, a_request("c", kind=RequestKind.WITHDRAWAL)) == ["withdrawn"]
    assert list(model.sessions["s"].offered) == ["d"]
    assert model.offers == {"made": 2, "withdrawn": 1}


def test_an_answer_by_a_link_is_due_like_any_other() -> None:
    model = a_model_with_an_offer_to_c()
    due = model.answers_due()
    model.answer_by_link("s", an_agent("c"), accepted=True)
    assert model.answers_due() == due + 1
    assert list(model.sessions["s"].enrolled) == ["b", "c"]


# ------------------------------------------------------------ selection, approval, reserved seats


def test_the_ranked_fill_the_seats_then_the_line_and_the_others_are_not_selected() -> None:
    model = ReferenceModel([replace(WEBINAR, approval="selection")])
    assert outcomes(model, *map(a_request, "abcd")) == ["pending"] * 4
    model.select("s", ["d", "b", "a"], ["c"])
    assert consequences(model) == ["d: enrolled", "b: enrolled", "a: waitlisted", "c: not_selected"]
    assert model.selection == {"enrolled": 2, "waitlisted": 1, "refused": 1}


def test_an_employer_s_yes_gives_a_seat_and_their_no_refuses() -> None:
    model = ReferenceModel([replace(WEBINAR, approval="employer")])
    assert outcomes(model, a_request("a"), a_request("b")) == ["pending", "pending"]
    decided = [
        a_request("a", kind=RequestKind.APPROVAL),
        a_request("b", kind=RequestKind.APPROVAL, yes=False),
    ]
    assert outcomes(model, *decided) == ["enrolled", "approval_denied"]


def test_an_employer_s_yes_makes_a_candidate_where_the_organiser_ranks_too() -> None:
    model = ReferenceModel([replace(WEBINAR, approval="employer_then_selection", capacity=1)])
    assert outcomes(model, *map(a_request, "abcd")) == ["pending"] * 4
    decided = [a_request(name, kind=RequestKind.APPROVAL, yes=name != "d") for name in "bad"]
    assert outcomes(model, *decided) == ["pending", "pending", "approval_denied"]
    assert outcomes(model, a_request("a")) == ["already_enrolled"]
    model.select("s", ["a", "b"], [])
    assert consequences(model) == ["a: enrolled", "b: waitlisted"]
    assert list(model.sessions["s"].pending) == ["c"], "without the employer's word nobody is ranked"


def test_reserved_seats_are_for_their_delegation_until_they_are_released() -> None:
    model = ReferenceModel([replace(WEBINAR, reserved=(("bretagne", 1),))])
    others = [sent(PortalRequest("s", an_agent(name, delegation="corse"))) for name in "xyz"]
    assert outcomes(model, *others) == ["enrolled", "waitlisted", "waitlisted"]
    model.release_reserved_seats("s")
    assert consequences(model) == ["y: enrolled"]
    assert model.released == 1


def test_who_a_seat_is_reserved_for_takes_it_past_a_line_of_others() -> None:
    model = ReferenceModel([replace(WEBINAR, reserved=(("bretagne", 1),))])
    others = [sent(PortalRequest("s", an_agent(name, delegation="corse"))) for name in "xy"]
    assert outcomes(model, *others, a_request("a")) == ["enrolled", "waitlisted", "enrolled"]


# ------------------------------------------------------------------------------------------ by hand


def test_an_organiser_gives_a_free_seat_by_the_rules_and_one_more_with_a_reason() -> None:
    model = ReferenceModel([WEBINAR])
    model.receive([a_request("a")])
    for name, above_capacity in (("b", True), ("c", False), ("d", True)):
        model.enrol_by_hand("s", an_agent(name), above_capacity=above_capacity)
    session = model.sessions["s"]
    assert (list(session.enrolled), list(session.waiting)) == (["a", "b", "d"], ["c"])
    assert session.above_capacity == {"d"}, "b has a seat that was free"
    assert (model.demands(), model.answers_due()) == ({"s": 4}, 4)
    assert model.mails["d@ville.example"] == 1


def test_a_seat_above_the_capacity_is_passed_on_to_nobody() -> None:
    model = ReferenceModel([replace(WEBINAR, capacity=1)])
    model.receive([a_request("a"), a_request("b")])
    model.enrol_by_hand("s", an_agent("c"), above_capacity=True)
    model.receive([a_request("a", kind=RequestKind.WITHDRAWAL)])
    assert list(model.sessions["s"].enrolled) == ["c"]
    assert list(model.sessions["s"].waiting) == ["b"]


# --------------------------------------------------------------------------------------- corrections


def test_what_follows_a_correction_is_written_to_the_new_address() -> None:
    model = ReferenceModel([replace(WEBINAR, capacity=1)])
    model.receive([a_request("a"), a_request("b")])
    corrected = replace(an_agent("b"), email="new@ville.example")
    model.receive([sent(PortalRequest("", corrected, RequestKind.CORRECTION))])
    assert model.corrections == {("b", "new@ville.example"): 1}
    assert not model.mails["new@ville.example"]
    model.receive([a_request("a", kind=RequestKind.WITHDRAWAL)])
    assert (model.mails["b@ville.example"], model.mails["new@ville.example"]) == (2, 1)


# --------------------------------------------------------------------------- the close of enrolment


def test_who_waits_at_the_close_has_no_seat_and_who_comes_after_it_is_refused() -> None:
    model = ReferenceModel([replace(WEBINAR, capacity=1, minimum=1)])
    model.receive([a_request(name) for name in "abc"])
    model.close_enrolment("s", NOW, "inset@cnfpt.example")
    assert consequences(model) == ["b: not_obtained", "c: not_obtained"]
    assert outcomes(model, a_request("d")) == ["deadline_passed"]
    assert not model.minimums_missed, "the one seat is taken"
    assert "inset@cnfpt.example" not in model.mails


def test_the_organiser_hears_at_the_close_that_too_few_take_part() -> None:
    model = ReferenceModel([replace(WEBINAR, minimum=2)])
    model.receive([a_request("a")])
    model.close_enrolment("s", NOW, "inset@cnfpt.example")
    assert model.minimums_missed == model.mails["inset@cnfpt.example"] == 1
    assert list(model.sessions["s"].enrolled) == ["a"], "nothing else follows"


# -------------------------------------------------------------------------------- groups and lists


def test_a_group_has_all_its_seats_or_none() -> None:
    model = ReferenceModel([WEBINAR])
    three = [an_agent(name) for name in "abc"]
    assert (
        outcomes(model, a_request_for(RequestKind.GROUP, *three, all_or_nothing=True))
        == ["group_does_not_fit"] * 3
    )
    assert (
        outcomes(model, a_request_for(RequestKind.GROUP, *three[:2], all_or_nothing=True)) == ["enrolled"] * 2
    )
    assert model.answers_due() == 5


def test_a_group_that_may_wait_is_one_place_keeps_seats_and_is_seated_as_one() -> None:
    model = ReferenceModel([WEBINAR])
    outcomes(model, a_request("a"), a_request("b"))
    pair = an_agent("c"), an_agent("d")
    group = PortalRequest("s", pair[0], RequestKind.GROUP, agents=pair, may_wait=True)
    assert outcomes(model, sent(group), a_request("e")) == ["waitlisted"] * 3
    outcomes(model, a_request("a", kind=RequestKind.WITHDRAWAL))
    assert outcomes(model, a_request("f")) == ["waitlisted"], "the seat is kept for the group"
    outcomes(model, a_request("b", kind=RequestKind.WITHDRAWAL))
    assert list(model.sessions["s"].enrolled) == ["c", "d"]
    assert list(model.sessions["s"].waiting) == ["e", "f"]


def test_without_all_or_nothing_each_of_a_group_is_answered_in_the_order_given() -> None:
    group = a_request_for(RequestKind.GROUP, *(an_agent(name) for name in "abc"))
    assert outcomes(ReferenceModel([WEBINAR]), group) == ["enrolled", "enrolled", "waitlisted"]


def test_a_list_sent_anew_replaces_who_is_not_on_it_any_more() -> None:
    model = ReferenceModel([BESPOKE])
    stranger = an_agent("x", siret="2")
    first = a_request_for(RequestKind.NOMINATION, an_agent("a"), an_agent("b"), stranger)
    assert outcomes(model, first) == ["enrolled", "enrolled", "not_eligible"]
    assert outcomes(model, a_request_for(RequestKind.NOMINATION, an_agent("a"), an_agent("c"))) == [
        "enrolled"
    ]
    assert consequences(model) == ["b: withdrawn"]
    assert list(model.sessions["s"].enrolled) == ["a", "c"]
    assert model.mails["formation.a@ville.example"] == 2, "of each list"


def test_who_moves_gets_a_seat_there_and_who_waits_here_gets_theirs() -> None:
    model = ReferenceModel([replace(WEBINAR, capacity=1), replace(WEBINAR, session_id="t", capacity=1)])
    model.receive([a_request("a"), a_request("b")])
    move = PortalRequest("s", an_agent("a"), RequestKind.SWAP, to_session_id="t")
    back = PortalRequest("t", an_agent("a"), RequestKind.SWAP, to_session_id="s")
    assert outcomes(model, sent(move), sent(back)) == ["enrolled", "session_full"]
    assert consequences(model) == ["a: withdrawn", "b: enrolled"]
    assert [list(session.enrolled) for session in model.sessions.values()] == [["b"], ["a"]]
    assert model.mails["a@ville.example"] == 3, "of the seat, of the move, of the other that was refused"
    assert model.demands() == {"s": 2, "t": 1}


def test_who_waits_or_has_left_moves_nowhere() -> None:
    model = ReferenceModel([replace(WEBINAR, capacity=1), replace(WEBINAR, session_id="t")])
    model.receive([a_request("a"), a_request("b")])
    move = PortalRequest("s", an_agent("b"), RequestKind.SWAP, to_session_id="t")
    assert outcomes(model, sent(move)) == ["not_enrolled"]
