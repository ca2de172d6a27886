"""Letters in the notifier's queue and at the mail sink."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import pairwise

from tests.proof.evidence import DECISIONS, NOTICES, Evidence, TopicRecord, erased_agents
from tests.proof.promises.reading import STATES, Break, grouped, last_decisions

_SETTLED = timedelta(minutes=1)
"""The notifier has read a decision after that."""


def decisions_without_their_letter(evidence: Evidence) -> Iterator[Break]:
    mails, erased = Counter(mail.event_id for mail in evidence.mails), erased_agents(evidence.records)
    for record in evidence.of_topic(DECISIONS):
        if record.data["agent"]["agent_id"] in erased:
            continue  # the letter is erased too
        if _calls_for_letter(record) and not mails[record.id]:
            yield [record, "has no letter"]


def decisions_with_a_letter_too_many(evidence: Evidence) -> Iterator[Break]:
    mails = grouped(evidence.mails, lambda mail: mail.event_id)
    for record in evidence.of_topic(DECISIONS):
        found = mails.get(record.id, [])
        if len(found) > (_calls_for_letter(record) or record.name == "AttendanceRecorded"):
            yield [record, *found]


def messages_without_their_letter(evidence: Evidence) -> Iterator[Break]:
    """Whoever had a seat a minute before the message, and has it still, has the letter."""
    written = {(mail.event_id, mail.recipient) for mail in evidence.mails}
    seats = {
        decision.id: decision
        for decision in last_decisions(evidence).values()
        if STATES[decision.name] == "enrolled"
    }
    seated = grouped(
        (record for record in evidence.of_topic(DECISIONS) if record.id in seats),
        lambda record: record.data["session_id"],
    )
    for message in _messages(evidence):
        for record in seated.get(message.data["session_id"], ()):
            is_settled = record.at + _SETTLED < message.at
            letter = message.id, record.data["agent"]["agent_id"]
            if is_settled and letter not in written:
                yield [message, record, "has no letter"]


def messages_written_twice(evidence: Evidence) -> Iterator[Break]:
    messages = {message.id for message in _messages(evidence)}
    written = Counter((mail.event_id, mail.recipient) for mail in evidence.mails if mail.event_id in messages)
    yield from ([f"message {each}", f"{times} letters"] for each, times in written.items() if times > 1)


def letters_lost(evidence: Evidence) -> Iterator[Break]:
    taken = Counter(letter.message_id for letter in evidence.letters)
    for mail in evidence.mails:
        if mail.state == "sent" and not taken[mail.message_id or ""]:
            yield [mail, "was never handed over"]


def letters_handed_over_twice(evidence: Evidence) -> Iterator[Break]:
    allowed = {mail.message_id or "": 1 + mail.decisions for mail in evidence.mails}
    erased = _addresses_of(evidence, erased_agents(evidence.records))
    for letter in evidence.letters:
        allowed.setdefault(letter.message_id, int(letter.recipient in erased))
    for message_id, times in Counter(letter.message_id for letter in evidence.letters).items():
        if times > allowed[message_id]:
            yield [f"{message_id} was handed over {times} times, {allowed[message_id]} allowed"]


def letters_in_doubt_not_shown(evidence: Evidence) -> Iterator[Break]:
    """A letter that was handed over counts as sent, or an operator sees that it may have been."""
    taken = {letter.message_id for letter in evidence.letters}
    for mail in evidence.mails:
        if mail.message_id in taken and mail.state not in ("sent", "ambiguous"):
            yield [mail, "was handed over"]


def calendars_that_go_back(evidence: Evidence) -> Iterator[Break]:
    """Compare the numbers of a calendar entry with the order of the decisions that called for its letters."""
    decided = {decision.id: decision.number for decision in evidence.decisions}
    decision_of = {mail.message_id: decided.get(mail.event_id) for mail in evidence.mails}
    entries: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for letter in evidence.letters:
        if (place := decision_of.get(letter.message_id)) is not None:
            for uid, number in letter.calendar.items():
                entries[uid].append((place, number, letter.message_id))
    for uid, found in entries.items():
        for before, after in pairwise(sorted(found)):
            if before[1] > after[1]:
                yield [f"{uid} has {before[1]} in {before[2]}", f"then {after[1]} in {after[2]}"]


def _messages(evidence: Evidence) -> list[TopicRecord]:
    return [record for record in evidence.of_topic(NOTICES) if record.name == "ParticipantsMessaged"]


def _addresses_of(evidence: Evidence, agents: Collection[str]) -> set[str]:
    named = [decision.data["agent"] for decision in evidence.of_topic(DECISIONS)]
    return {agent["email"] for agent in named if agent["agent_id"] in agents}


def _calls_for_letter(decision: TopicRecord) -> bool:
    """The portal alone needs to know what the agent cannot have noticed, or reads in another letter."""
    if decision.name == "EnrolmentRefused":
        return bool(decision.data["asked"] != "approval" and decision.data["reason"] != "not_enrolled")
    if decision.name == "EnrolmentWithdrawn":
        return not decision.data.get("moved_to")
    return decision.name in STATES
