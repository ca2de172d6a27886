"""The audit must notice: a demonstration that cannot fail shows nothing."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from shared.local.audit import Decisions, Findings, MailFiles, compare_answers, compare_mails
from shared.local.books import Answer, Books, SessionFacts
from shared.local.people import Population, siret
from shared.local.portal import Ask, Sent

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)


@pytest.fixture
def books() -> Books:
    facts = SessionFacts(
        "s", "webinar", "IA", "bretagne", 1, "none", NOW, NOW + timedelta(days=1), NOW + timedelta(days=2), ()
    )
    people = Population("abc", Random(1))
    books = Books([facts])
    books.record([Sent(Ask("s", people.agent()), 0, offset, NOW) for offset in range(2)])
    return books


@pytest.fixture
def decisions(books: Books) -> Decisions:
    """The decisions topic when all went well."""
    decisions = Decisions({})
    for ce_id, answer in books.answers.items():
        decisions.answers[ce_id].append(answer)
    return decisions


def test_agreement_is_clean(books: Books, decisions: Decisions) -> None:
    assert compare_answers(books, decisions).clean


def test_a_request_without_an_answer_is_lost(books: Books, decisions: Decisions) -> None:
    decisions.answers.pop(next(iter(books.answers)))
    assert compare_answers(books, decisions).lost == 1


def test_a_second_answer_is_a_duplicate(books: Books, decisions: Decisions) -> None:
    ce_id = next(iter(books.answers))
    decisions.answers[ce_id].append(books.answers[ce_id])
    assert compare_answers(books, decisions).duplicated == 1


def test_a_wrong_answer_is_found_though_nothing_is_lost(books: Books, decisions: Decisions) -> None:
    ce_id = list(books.answers)[-1]
    decisions.answers[ce_id] = [Answer("enrolled")]
    found = compare_answers(books, decisions)
    assert (found.lost, found.duplicated, found.wrong) == (0, 0, 1)
    assert not found.clean


def test_an_answer_to_nobodys_request_is_found(books: Books, decisions: Decisions) -> None:
    decisions.answers["stranger"].append(Answer("enrolled"))
    assert not compare_answers(books, decisions).clean


def test_a_seat_passed_on_that_should_not_have_been_is_found(books: Books, decisions: Decisions) -> None:
    decisions.promoted["s", "somebody"] += 1
    assert compare_answers(books, decisions).duplicated == 1


def test_the_same_event_published_twice_counts_once() -> None:
    decisions = Decisions({})
    event = {"session_id": "s", "agent": {"agent_id": "a"}, "request_id": "r"}
    decisions._count("AgentEnrolled", event)
    assert decisions.answers["r"] == [Answer("enrolled")]


def write(directory: Path, name: str, to: str, message_id: str) -> None:
    (directory / f"{name}.eml").write_text(
        f"Return-Path: <x@y.example>\r\nDelivered-To: {to}\r\nMessage-ID: {message_id}\r\n"
        "\r\nDelivered-To: in@the.text\r\n"
    )


def test_mails_are_counted_by_envelope_and_old_ones_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, "old", "zoe@ville.example", "<0@x>")
    mails = MailFiles(tmp_path)
    write(tmp_path, "new", "noel@ville.example", "<1@x>")
    assert mails.look() == 1
    assert mails.look() == 1
    assert mails.received == {"noel@ville.example": 1}


def test_a_missing_a_superfluous_and_a_repeated_mail_are_told_apart(books: Books, tmp_path: Path) -> None:
    mails = MailFiles(tmp_path)
    first, second = books.mails
    mails.received = Counter({first: 2})
    mails.message_ids = Counter({"<1@x>": 2})
    found = Findings()
    compare_mails(books, mails, found)
    assert found.lost == 1
    assert found.duplicated == 2
    assert second in found.details[0]


def test_invented_sirets_have_a_right_check_digit() -> None:
    from stdnum.fr import siret as official

    assert all(official.is_valid(siret(number)) for number in range(20))


def test_invented_addresses_are_plain_and_unique() -> None:
    people = Population("abc", Random(1))
    addresses = [people.agent().email for _ in range(500)]
    assert len(set(addresses)) == 500
    assert all(address.isascii() and " " not in address for address in addresses)
