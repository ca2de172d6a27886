"""Every state, reason and mark has its French words, on sheets and pages; sheets understand people's own."""

import re
from contextlib import nullcontext
from typing import get_args
from uuid import uuid4

import pytest
from jinja2 import UndefinedError

from services.enrolment.pages.links import TEMPLATES, LinkNotice
from services.enrolment.rules.eligibility import judge_withdrawal
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.requests import Request, RequestKey
from services.enrolment.rules.states import Cause, State
from services.enrolment.service import sheet_cells as cells
from services.enrolment.tables import ERASED
from shared.events.enrolment import Attendance
from shared.web import labels
from shared.web.rendering import Rendering
from tests.support.builders import DURING, a_session, an_agent

RENDERING = Rendering(TEMPLATES, notice="message.html")


def test_sheets_and_agents_have_a_label_for_every_state() -> None:
    assert set(labels.ROSTER_STATES) == set(labels.ENROLMENT_STATES) == set(State)
    assert set(labels.ROSTER_CAUSES) == set(Cause)


def test_agents_have_a_label_for_whatever_ended_an_enrolment_that_they_did_not_ask_for() -> None:
    """A cause that is renamed would have the page say again that they withdrew."""
    assert set(labels.ENROLMENT_CAUSES) <= set(Cause)
    assert {Cause.EMPLOYER, Cause.REPLACED, Cause.MOVED, Cause.JOINED} <= set(labels.ENROLMENT_CAUSES)


def test_agents_have_a_label_for_every_request_and_what_became_of_it() -> None:
    kinds = {kind.__name__ for kind in get_args(Request)}
    assert set(labels.REQUESTS) == kinds | {ERASED}
    assert set(labels.OUTCOMES) == {*State, "mixed", "unchanged"}


@pytest.mark.parametrize("seen", Attendance)
def test_what_a_sheet_says_of_attendance_is_understood_when_it_comes_back(seen: Attendance) -> None:
    assert cells.attendance_of(labels.ATTENDANCE[seen]) is seen
    assert cells.attendance_of(seen.value) is seen


@pytest.mark.parametrize(
    ("word", "seen"),
    [
        (" PRÉSENTE ", Attendance.ATTENDED),
        ("Présent", Attendance.ATTENDED),
        ("absente", Attendance.ABSENT),
        ("Absence  justifiée", Attendance.ABSENT_JUSTIFIED),
        ("excusée", Attendance.ABSENT_JUSTIFIED),
        ("absent-justified", Attendance.ABSENT_JUSTIFIED),
        ("oui", None),
        ("1", None),
        ("", None),
    ],
)
def test_people_write_attendance_in_their_own_way(word: str, seen: Attendance | None) -> None:
    assert cells.attendance_of(word) is seen


@pytest.mark.parametrize("state", State)
def test_every_state_that_one_may_withdraw_from_has_its_page(state: State) -> None:
    session = a_session()
    key = RequestKey("", uuid4())
    enrolment = Enrolment(uuid4(), 1, session.session_id, an_agent(), state, None, 1, key, DURING)
    may_withdraw = judge_withdrawal(session, enrolment, DURING) is None
    with nullcontext() if may_withdraw else pytest.raises(UndefinedError):
        RENDERING.page("withdrawal.html", session=session, state=state, enrolments="")


@pytest.mark.parametrize("message", LinkNotice)
def test_a_page_has_a_status_a_title_and_a_lead_without_median_points(message: LinkNotice) -> None:
    response = RENDERING.notice(message)
    assert response.status_code in (200, 403, 410, 429)
    (title, lead) = re.findall(r"<h1>(.+)</h1>\n<p class=\"lead\">(.+)</p>", bytes(response.body).decode())[0]
    assert lead.endswith(".")
    assert "·" not in title + lead
