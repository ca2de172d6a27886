"""The pages that letters lead to, in a real Chromium."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser

from services.enrolment.pages.links import LinkNotice, rendering_for
from services.enrolment.pages.questions import field_of
from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.links import AgentEnrolment, EnrolmentNow, PastChange, arranged, seen_by_agent
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.states import Cause, State
from services.enrolment.service.certificates import Verified
from shared import qr_codes
from shared.events.catalogue import Question
from shared.events.reasons import Reason
from shared.events.vocabulary import QuestionKind
from shared.web.forms import Form
from shared.web.rendering import Sites
from tests.browser.conftest import new_tab, show
from tests.browser.inspection import faults
from tests.support.builders import DURING, a_question, a_session, an_agent

pytestmark = pytest.mark.browser

SESSION = a_session()
ALL = "https://parcours.example/inscriptions/mes-inscriptions/x"


def seen(
    state: State, position: int | None = None, *, now: datetime = DURING, **changes: Any
) -> AgentEnrolment:
    """An enrolment as its agent sees it while its session is open, or at another moment."""
    enrolment = Enrolment(
        uuid4(), 2, SESSION.session_id, an_agent(), state, None, 1, RequestKey("", uuid4()), DURING
    )
    found = EnrolmentInSession(replace(enrolment, **changes), SESSION)
    past = [PastChange(DURING, state, Cause.SEAT_FREED)]
    return seen_by_agent(EnrolmentNow(found, (), past, position, DURING, taken=3), now)


PAGES: dict[str, dict[str, Any]] = {
    "offer.html": {
        "session": SESSION,
        "hold_until": SESSION.enrolment_closes_at,
        "unanswered": True,
        "enrolments": ALL,
    },
    "withdrawal.html": {"session": SESSION, "state": State.WAITLISTED, "enrolments": ALL},
    "move.html": {
        "session": SESSION,
        "others": [a_session(), a_session(organiser="normandie", venue=None)],
        "refused": Reason.SESSION_FULL.refusal.label,
        "unanswered": True,
        "enrolments": ALL,
    },
    "move-questions.html": {
        "session": SESSION,
        "questions": [
            Question.model_validate(a_question(kind.replace("_", "-"), kind, required=kind == "number"))
            for kind in QuestionKind
        ],
        "field_of": field_of,
        "form": Form([("question-text", "Une ligne.")]),
        "errors": {"question-number": "missing", "question-adjustment": "adjustment"},
        "enrolments": ALL,
    },
    "enrolments.html": {
        "enrolments": arranged(
            [
                seen(State.OFFERED, hold_until=SESSION.enrolment_closes_at),
                *(seen(state, 3 if state is State.WAITLISTED else None) for state in State if state.is_live),
                seen(State.ENROLLED, now=SESSION.starts_at - timedelta(days=1)),
                seen(State.REFUSED, reason=Reason.NOT_ELIGIBLE),
            ]
        ),
        "link_of": lambda _purpose, _seen: ALL,
        "code_of": lambda seen, label: qr_codes.svg(str(seen.enrolment.enrolment_id), label),
        "calendar": ALL,
        "address": ALL,
        "subscriptions": ALL,
    },
    "roster.html": {
        "session": SESSION,
        "agents": [an_agent(), an_agent()],
        "is_cut": False,
        "until": SESSION.ends_at,
    },
    "address.html": {
        "typed": "zoe@ville",
        "errors": {"adresse": "Saisissez une adresse."},
        "enrolments": ALL,
    },
    "confirm-address.html": {},
    "verify.html": {"typed": "x", "wrong": True},
    "verified.html": {
        "code": "7KMPT-2XWZ9",
        "found": Verified(True, SESSION, timedelta(hours=6), "Zoé Durand"),
        "session": SESSION,
        "typed": "Zoé Durand",
        "ask": "/attestations",
    },
}


def test_nothing_is_wrong_with_a_page_behind_a_link(chromium: Browser) -> None:
    rendering = rendering_for(Sites.by("https://{}.example".format))
    pages = {template: rendering.page(template, **values) for template, values in PAGES.items()}
    withdrawn = PAGES["verified.html"] | {"found": Verified(False, SESSION, None, None), "typed": ""}
    pages["a certificate that was withdrawn"] = rendering.page("verified.html", **withdrawn)
    pages["message.html"] = rendering.notice(LinkNotice.SEAT_TAKEN, session=SESSION)
    explained = rendering.module("problems.html", reasons=Reason).problems
    for code in ("wrong_partition", Reason.DEADLINE_PASSED.value):
        pages[code] = rendering.page("problem.html", code=code, problem=explained[code])
    found: list[str] = []
    with new_tab(chromium) as page:
        for template, response in pages.items():
            show(page, bytes(response.body).decode().replace("<details>", "<details open>"))
            found += [f"{template}: {fault}" for fault in faults(page)]
    assert not found, "\n".join(found)
