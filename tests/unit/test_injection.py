"""Each field that comes from outside, with what would be run or read otherwise, through the real renderers.

What the contracts refuse is put in past them: a renderer must be safe by itself.
"""

import csv
import io
import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest

from services.catalogue.pages.site import Site, rendering_of
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import sheet_lines as sheets
from shared.auth import Tokens
from shared.events.catalogue import Module, Question
from shared.events.vocabulary import QuestionKind
from shared.observability import configure_logging
from shared.web import calendars
from shared.web.calendars import CalendarEvent, Details, Person
from tests.support.builders import a_session as a_state
from tests.support.builders import an_agent
from tests.support.guards import NOWHERE, a_guard

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("service", ["catalogue", "enrolment", "notifier"])
def test_every_page_escapes_what_it_shows(service: str) -> None:
    """Letters: tests/unit/notifier/test_quoting.py. Every environment of Jinja escapes by itself."""
    folders = [*(ROOT / "services" / service).rglob("templates"), ROOT / "shared" / "web" / "templates"]
    sources = {path.name: path.read_text() for folder in folders for path in folder.rglob("*.html")}
    unquoted = re.compile(r'<[^>"{]*(?:"[^"]*"[^>"{]*)*\s[\w-]+=\{\{')
    assert [name for name, source in sources.items() if unquoted.search(source)] == []
    raw = re.compile(r"\|\s*safe\b|autoescape")
    assert [name for name, source in sources.items() if raw.search(source)] in ([], ["icons.html"])


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
