"""Each field that comes from outside, with what would be run or read otherwise, through the real renderers.

What the contracts refuse is put in past them: a renderer must be safe by itself.
"""

import csv
import io
import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from icalendar import Calendar

from services.catalogue.pages.site import Site, rendering_of
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import sheet_lines as sheets
from services.notifier.letters import LetterContext, LetterType
from shared.auth import Tokens
from shared.events.catalogue import Module, Question
from shared.events.vocabulary import QuestionKind
from shared.observability import configure_logging
from shared.web import calendars
from shared.web.calendars import CalendarEvent, Details, Person
from tests.support.builders import a_session as a_state
from tests.support.builders import an_agent
from tests.support.guards import NOWHERE, a_guard
from tests.unit.notifier.builders import a_mail, a_renderer, a_session, some_news
from tests.unit.notifier.reading import DETAILS, WITHOUT_SESSION, LetterPage, body, parsed

WHEN = datetime(2025, 4, 3, 7, 30, tzinfo=UTC)
ID = UUID("d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90")

MARKS = {
    "html": '</p><script>alert(1)</script><img src=x onerror="alert(1)">',
    "attribute": '" onmouseover="alert(1)" x="',
    "formula": '=HYPERLINK("https://evil.example";"ok")',
    "formula by command": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula after blanks": " \t=1+1",
    "header": "x\r\nBcc: evil@x.example",
    "encoded word": "=?utf-8?q?x=0d=0aBcc:_evil=40x.example?=",
    "calendar": "x\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nATTENDEE:mailto:evil@x.example",
    "calendar parameter": 'x";CN="y:mailto:evil@x.example',
    "log": 'x\n{"level": "INFO", "message": "all is well"}',
    "template": "{{ 7 * 7 }}{% raw %}",
    "direction": "\u202egpj.exe",
}
IN_AGENT = ["agent_id", "email", "given_name", "family_name", "employer"]
marks = pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)


def roster(field: str, text: str) -> tuple[RosterLine, Any]:
    """A line of a roster and its session, with the text in one field of the agent, or as a module's title."""
    agent, session = an_agent(), a_state()
    if field == "employer":
        agent = agent.model_copy(update={"employer": agent.employer.model_copy(update={"name": text})})
    elif field in IN_AGENT:
        agent = agent.model_copy(update={field: text})
    title = text if field == "module" else "Atelier"
    module = Module.model_construct(title=title, starts_at=WHEN, ends_at=WHEN)
    enrolment = Enrolment(ID, 1, ID, agent, State.ENROLLED, None, 1, RequestKey("", ID), WHEN)
    label = text if field == "question" else "Autre chose ?"
    question = Question.model_construct(question_id="autre", kind=QuestionKind.TEXT, label=label)
    answer = KeptAnswer("autre", label, text if field == "answer" else "Non", 30)
    line = RosterLine(enrolment, WHEN, None, False, {}, {"autre": answer}, ())
    return line, session.model_copy(update={"modules": (module,), "questions": (question,)})


@marks
@pytest.mark.parametrize("field", [*IN_AGENT, "module", "question", "answer"])
def test_no_sheet_has_a_formula_or_a_cell_too_many(field: str, mark: str) -> None:
    def files(text: str) -> list[list[list[str]]]:
        line, session = roster(field, text)
        written = [
            sheets.roster_heading(session, {"avant": session.questions[0].label})
            + sheets.roster_lines([line], session, {"avant": ""}),
            sheets.ranking_form([line], session),
            sheets.attendance_form([line], session),
        ]
        return [list(csv.reader(io.StringIO(f.decode("utf-8-sig"), ""), delimiter=";")) for f in written]

    for rows, harmless in zip(files(mark), files("x"), strict=True):
        assert [len(row) for row in rows] == [len(row) for row in harmless]
        assert [cell for row in rows for cell in row if re.match(r"[\t\r\n]|\s*[=+\-@]", cell)] == []


IN_LETTERS = ["given_name", "family_name", "title", "venue"]
IN_DETAILS = ["advisor", "message", "replay_title", "news", "modules"]


def letter(template: LetterType, field: str, text: str) -> EmailMessage:
    details: dict[str, Any] = dict(DETAILS[template])
    news = [some_news()] if template is LetterType.NEWS else []
    if field == "news":
        news = [replace(item, title=text, summary=text) for item in news]
    elif field == "modules" and field in details:
        details[field] = [module | {"title": text} for module in details[field]]
    elif field in details:
        details[field] = text
    name = {field: text} if field in ("given_name", "family_name") else {}
    place = {field: text} if field in ("title", "venue") else {}
    session = None if template in WITHOUT_SESSION else a_session().model_copy(update=place)
    mail = a_mail(template, details=details, **name)
    return parsed(a_renderer().render(mail, LetterContext(session, news=news)).content)


def has(template: LetterType, field: str) -> bool:
    """Whether letters of this kind say what is in the field; others are the same whatever it is."""
    return (
        field in IN_LETTERS or field in DETAILS[template] or (template is LetterType.NEWS and field == "news")
    )


Shape = tuple[list[str], list[tuple[str, tuple[str, ...]]], list[list[str]]]


def shape(letter: EmailMessage) -> Shape:
    """The names of a letter's headers, the elements of its page, the properties in its calendar."""
    headers = [name for name, _ in letter.raw_items()]
    return headers, LetterPage(body(letter, "text/html")).elements, properties(letter)


@cache
def harmless(template: LetterType, field: str, text: str) -> Shape:
    """What a letter must look like; most marks are harmless in the same way."""
    return shape(letter(template, field, text))


@marks
@pytest.mark.parametrize("field", IN_LETTERS + IN_DETAILS)
def test_no_letter_gets_a_header_an_element_or_a_participant_more(field: str, mark: str) -> None:
    templates = [template for template in DETAILS if has(template, field)]
    assert templates
    for template in templates:
        text = re.sub(r"[^\r\n]+", "x", mark)
        assert shape(letter(template, field, mark)) == harmless(template, field, text)


def properties(letter: EmailMessage) -> list[list[str]]:
    """The names of the properties of each event in a letter's calendar."""
    kinds = [part.get_content_type() for part in letter.walk()]
    written = [body(letter, "text/calendar")] if "text/calendar" in kinds else []
    events = [event for text in written for event in Calendar.from_ical(text).walk("VEVENT")]
    return [sorted(event) for event in events]


@marks
@pytest.mark.parametrize("field", ["summary", "location", "description", "attendee", "calendar"])
def test_no_calendar_gets_an_event_a_property_or_a_participant_more(field: str, mark: str) -> None:
    def lines(text: str) -> list[str]:
        details: dict[str, Any] = {"format": a_state().format, "starts_at": WHEN, "ends_at": WHEN}
        details |= {"timezone": "Europe/Paris", "summary": "s", "location": "l", "description": "d"}
        name = text if field == "attendee" else "n"
        details |= {field: text} if field in details else {}
        event = CalendarEvent("6f0c2f0e", 3, WHEN, Details(**details), Person(name, "zoe@ville.example"))
        title = text if field == "calendar" else "Parcours"
        written = calendars.write([event], product="-//P//T//FR", method="PUBLISH", name=title).decode()
        return [re.split("[:;]", line)[0] for line in written.replace("\r\n ", "").split("\r\n")]

    assert lines(mark) == lines("x")


FEEDS = rendering_of(
    Site(database=NOWHERE, tokens=Tokens(), guard=a_guard(), address="https://parcours.example")
)
IN_FEEDS = ["title", "summary", "url", "organiser", "themes"]


@marks
@pytest.mark.parametrize("field", IN_FEEDS)
def test_no_feed_gets_an_element_or_an_attribute_more(field: str, mark: str) -> None:
    def elements(text: str) -> list[tuple[str, list[str]]]:
        values: dict[str, Any] = {
            "title": "t",
            "summary": "s",
            "url": "https://x.example",
            "organiser": "corse",
        }
        values |= {"resource_id": ID, "published_at": WHEN, "changed_at": WHEN, "themes": ("enjeux-ia",)}
        values[field] = (text,) if field == "themes" else text
        feed = FEEDS.text("replays.atom", replays=[SimpleNamespace(**values)], updated=WHEN)
        return [(element.tag, sorted(element.attrib)) for element in ET.fromstring(feed).iter()]

    assert elements(mark) == elements("x")


@marks
def test_no_site_map_gets_an_address_more(mark: str) -> None:
    def addresses(text: str) -> int:
        offers = [SimpleNamespace(offer_id=text, changed_at=WHEN)]
        written = FEEDS.text("sitemap.xml", offers=offers, sessions=[(ID, WHEN)])
        return len(list(ET.fromstring(written).iter()))

    assert addresses(mark) == addresses("x")


@marks
def test_a_line_of_the_log_stays_one(mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.root.handlers[:], logging.root.level
    try:
        configure_logging("json", "INFO", "notifier")
        logging.getLogger("outside").warning("No such thing: %s", mark)
    finally:
        logging.root.handlers[:], logging.root.level = before
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"].endswith(mark)
