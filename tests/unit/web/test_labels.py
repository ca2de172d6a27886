"""Everything that a person may read has its label; a new member of an enum without one fails here."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from services.notifier.letters import EnrolmentState, InterestKind, LetterType, NewsKind
from services.notifier.letters.happenings import Happening
from services.notifier.tables import MailState
from shared.events.enrolment import Attendance
from shared.events.notifier import BounceKind
from shared.events.reasons import Reason
from shared.events.vocabulary import ApprovalPolicy, Delegation, Format, Function, Status, WaitingList
from shared.permissions import Role
from shared.read_log import ReadKind
from shared.web import labels

TABLES: list[tuple[Mapping[Any, str], type[StrEnum]]] = [
    (labels.FORMATS, Format),
    (labels.STATUSES, Status),
    (labels.WAITING_LISTS, WaitingList),
    (labels.APPROVALS, ApprovalPolicy),
    (labels.FUNCTIONS, Function),
    (labels.AUDIENCES, Function),
    (labels.ATTENDANCE, Attendance),
    (labels.ORGANISERS, Delegation),
    (labels.READS, ReadKind),
    (labels.ROLES, Role),
    (labels.LETTERS, LetterType),
    (labels.NEWS, NewsKind),
    (labels.MAIL_STATES, MailState),
    (labels.STANDINGS, EnrolmentState),
    (labels.RETURNS, BounceKind),
    (labels.INTERESTS, InterestKind),
    (labels.HAPPENINGS, Happening),
]


@pytest.mark.parametrize(("table", "members"), TABLES, ids=[members.__name__ for _, members in TABLES])
def test_every_member_has_a_label(table: Mapping[Any, str], members: type[StrEnum]) -> None:
    assert set(table) == set(members)
    assert all(table.values())


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_says_why_to_the_agent_the_organiser_and_the_operator(reason: Reason) -> None:
    refusal = reason.refusal
    assert refusal.label
    assert refusal.explained
    for letter in filter(None, (refusal.letter, refusal.withdrawal, refusal.offer, refusal.swap)):
        assert letter.sentence.endswith(".")
        assert letter.advice.endswith(".")
