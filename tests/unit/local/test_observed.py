"""What the demonstration observes: decisions and mails, and the people that they are about."""

from pathlib import Path
from random import Random

from stdnum.fr import siret as official

from local.demo.observed import DecisionLog, ReceivedMails, answer_in
from local.demo.people import Population, siret
from local.demo.session_model import Answer


def a_decision(request_id: str | None = "r", **more: object) -> dict[str, object]:
    return {
        "session_id": "s", "agent": {"agent_id": "a"}, "request_id": request_id, "enrolment_id": "e", **more
    }  # fmt: skip


def test_an_answer_is_counted_by_its_request_and_agent() -> None:
    decisions = DecisionLog()
    decisions.add("AgentEnrolled", a_decision())
    assert decisions.answers["r", "a"] == [Answer("enrolled")]
    assert not decisions.consequences


def test_what_has_no_request_followed() -> None:
    decisions = DecisionLog()
    decisions.add("EnrolmentRefused", a_decision(None, reason="not_selected", asked="enrolment"))
    assert decisions.consequences == {(Answer("refused", "not_selected"), "s", "a"): 1}
    assert not decisions.answers


def test_a_cancellation_is_no_withdrawal() -> None:
    assert answer_in("EnrolmentWithdrawn", {"by": "session_cancelled"}) == Answer("cancelled")
    assert answer_in("EnrolmentWithdrawn", {"by": "employer"}) == Answer("withdrawn")


def test_a_refused_withdrawal_leaves_the_enrolment_where_it_was() -> None:
    decisions = DecisionLog()
    decisions.add("AgentEnrolled", a_decision())
    decisions.add("EnrolmentRefused", a_decision("w", reason="deadline_passed", asked="withdrawal"))
    assert decisions.enrolments["e"].outcome == "enrolled"


def test_an_offer_ends_in_one_of_four_ways() -> None:
    for name, details, ended in (
        ("AgentEnrolled", {}, "accepted"),
        ("SeatOfferLapsed", {"cause": "declined"}, "declined"),
        ("SeatOfferLapsed", {"cause": "expired"}, "lapsed"),
        ("EnrolmentWithdrawn", {"by": "agent"}, "withdrawn"),
    ):
        decisions = DecisionLog()
        decisions.add("SeatOffered", a_decision(None))
        assert decisions.open_offers() == 1
        decisions.add(name, a_decision(**details))
        assert decisions.offers == {"made": 1, ended: 1}
        assert decisions.open_offers() == 0


def write(
    directory: Path, name: str, to: str, message_id: str, text: str = "Delivered-To: in@the.text"
) -> None:
    (directory / f"{name}.eml").write_text(
        f"Return-Path: <x@y.example>\r\nDelivered-To: {to}\r\nMessage-ID: {message_id}\r\n\r\n{text}\r\n"
    )


def test_mails_are_counted_by_envelope_and_old_ones_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, "old", "zoe@ville.example", "<0@x>")
    mails = ReceivedMails(tmp_path)
    write(tmp_path, "new", "noel@ville.example", "<1@x>")
    assert mails.look() == 1
    assert mails.look() == 1
    assert mails.by_address == {"noel@ville.example": 1}


def test_the_link_to_a_page_is_found_in_the_newest_mail_that_has_one(tmp_path: Path) -> None:
    mails = ReceivedMails(tmp_path)
    to = "zoe@ville.example"
    assert mails.link_to(to, "/offre") is None
    for name, link in (("1", "http://x/offre/old"), ("2", "http://x/offre/new"), ("3", "http://x/autre/t")):
        write(tmp_path, name, to, f"<{name}@x>", f"Ici :\r\n\r\n{link}\r\n\r\nfin")
    assert mails.link_to(to, "/offre") == "http://x/offre/new"
    assert mails.link_to("noel@ville.example", "/offre") is None


def test_invented_sirets_have_a_right_check_digit() -> None:
    assert all(official.is_valid(siret(number)) for number in range(20))


def test_invented_addresses_are_plain_and_unique() -> None:
    people = Population("abc", Random(1))
    addresses = [people.agent().email for _ in range(500)]
    assert len(set(addresses)) == 500
    assert all(address.isascii() and " " not in address for address in addresses)
