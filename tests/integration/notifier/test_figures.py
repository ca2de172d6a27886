"""Figures of the offer: counted once, kept when agents are forgotten, shown and exported."""

import json
import re
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.notifier import api, jobs, pages
from services.notifier.app import eraser
from services.notifier.pages.figures import PARIS
from services.notifier.service import figures
from services.notifier.service.figures import FigureKind
from shared import clock
from shared.auth import Tokens
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatLeft,
)
from shared.events.reasons import Reason
from shared.messaging.portals.registry import PortalsFile
from shared.personal_data import Subject
from shared.web import labels
from shared.web.french import capitalised
from shared.web.links import DELEGATION_FIGURES
from shared.web.rendering import Sites
from shared.web.responses import PRIVATE
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_mail_log import browser, log_in, tokens
from tests.integration.notifier.test_read_log import ZOE
from tests.support.guards import a_guard
from tests.unit.notifier.builders import a_decision, a_renderer, a_session, an_agent

__all__ = ["browser", "tokens"]
FIGURES = "/courriels/suivi/chiffres"
DEADLINE_PASSED = capitalised(Reason.DEADLINE_PASSED.refusal.label)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded is counted, however new; the month is one, also if it ends meanwhile."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(figures, "SETTLED", timedelta(0))


async def lived(notifier: Notifier) -> None:
    """One asked, waited, was seated, came, and has three letters; one was refused; one was absent."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentWaitlisted, position=1))
    await notifier.hear(a_decision(AgentEnrolled, version=2, from_waiting_list=True))
    await notifier.hear(a_decision(AttendanceRecorded, version=3, attendance="attended", certified=True))
    other, third = an_agent(agent_id="1002"), uuid4()
    await notifier.hear(
        a_decision(EnrolmentRefused, enrolment_id=uuid4(), agent=other, reason="session_full")
    )
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=third, agent=other))
    absent: dict[str, Any] = {"attendance": "absent", "version": 2}
    await notifier.hear(a_decision(AttendanceRecorded, enrolment_id=third, agent=other, **absent))
    await notifier.deliver()


async def counted(notifier: Notifier) -> dict[str, int]:
    rows = await notifier.query(
        "SELECT kind, reason, number FROM figure "
        "WHERE offer_id = 'ia-et-territoires' AND organiser = 'bretagne'"
    )
    return {f"{row.kind} {row.reason}".strip(): row.number for row in rows}


async def test_what_happened_is_counted_once_however_often_the_job_runs(notifier: Notifier) -> None:
    await lived(notifier)
    sent = len(await notifier.rows(where="state = 'sent'"))
    expected = {
        "asked": 3,
        "enrolled": 2,
        "waitlisted": 1,
        "refused session_full": 1,
        "attended": 1,
        "absent": 1,
        "letters": sent,
    }
    await jobs.count_figures(notifier.database)
    assert await counted(notifier) == expected
    await jobs.count_figures(notifier.database)
    assert await counted(notifier) == expected
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    await jobs.count_figures(notifier.database)
    assert await counted(notifier) == expected | {"asked": 4, "enrolled": 3}


async def test_a_change_of_session_is_no_request_and_no_end_and_enrolments_that_join_are_no_end(
    notifier: Notifier,
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    old, new, kept = uuid4(), uuid4(), uuid4()
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=old))
    left = SeatLeft(session_id=uuid4(), enrolment_id=old, version=2)
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=new, moved_from=left))
    await notifier.hear(a_decision(EnrolmentWithdrawn, enrolment_id=old, version=2, moved_to=new))
    await notifier.hear(a_decision(EnrolmentWithdrawn, enrolment_id=new, version=2, joined_to=kept))
    await notifier.hear(a_decision(EnrolmentWithdrawn, enrolment_id=kept, version=2))
    await jobs.count_figures(notifier.database)
    assert await counted(notifier) == {"asked": 1, "enrolled": 2, "withdrawn": 1}


async def test_an_absence_that_is_justified_is_counted_apart(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    for number, attendance in enumerate(("absent", "absent", "absent_justified")):
        agent, its_id = an_agent(agent_id=f"A-{number}"), uuid4()
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=its_id, agent=agent))
        recorded: dict[str, Any] = {"enrolment_id": its_id, "agent": agent, "version": 2}
        await notifier.hear(a_decision(AttendanceRecorded, attendance=attendance, **recorded))
    await jobs.count_figures(notifier.database)
    numbers = await counted(notifier)
    assert (numbers["absent"], numbers["absent_justified"]) == (2, 1)


async def test_what_may_still_be_written_is_counted_later(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "SETTLED", timedelta(minutes=10))
    await lived(notifier)
    await jobs.count_figures(notifier.database)
    assert await counted(notifier) == {}
    monkeypatch.setattr(figures, "SETTLED", timedelta(0))
    await jobs.count_figures(notifier.database)
    assert (await counted(notifier))["asked"] == 3


async def test_figures_stay_when_an_agent_is_forgotten(notifier: Notifier, portals: PortalsFile) -> None:
    await lived(notifier)
    await jobs.count_figures(notifier.database)
    before = await counted(notifier)
    async with notifier.database.transaction() as tx:
        await eraser(notifier.database, portals, b"")._erase(tx, Subject(agent=ZOE, until=clock.now()))
    await jobs.count_figures(notifier.database)
    assert await counted(notifier) == before


async def test_figures_are_shown_filtered_and_exported(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    assert "Jeton d’accès" in (await browser.get(FIGURES)).text
    await log_in(browser)
    assert "Rien n’est encore compté" in (await browser.get(FIGURES)).text
    await lived(notifier)
    await jobs.count_figures(notifier.database)
    page = (await browser.get(FIGURES)).text
    assert "<svg" in page
    assert 'data-label="Demandes">3</td>' in page
    assert "Session complète" in page
    none = (await browser.get(f"{FIGURES}?offre=autre")).text
    assert "Rien n’est compté pour ce choix" in none
    sheet = await browser.get(f"{FIGURES}.csv?delegation=bretagne")
    assert sheet.headers["content-type"].startswith("text/csv")
    month = clock.now().astimezone(PARIS).strftime("%Y-%m-")
    assert f"{month}01;{labels.OFFERS['ia-et-territoires']};Bretagne;Refus;session complète;1;" in sheet.text
    assert ";1;ia-et-territoires;bretagne;refused;session_full" in sheet.text, "and by codes"
    assert "Durand" not in page + sheet.text


async def test_figures_of_an_offer_that_was_made_on_the_pages_are_under_its_sessions_title(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    session = a_session(offer_id="ia-pour-les-elus", title="L’IA pour les élues et élus")
    await notifier.hear(SessionScheduled.model_validate(session.model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    await jobs.count_figures(notifier.database)
    await log_in(browser)
    page = (await browser.get(FIGURES)).text
    assert '<option value="ia-pour-les-elus">L’IA pour les élues et élus</option>' in page
    assert '<th scope="row" role="rowheader">L’IA pour les élues et élus</th>' in page


def bars(chart: str, which: str, length: str) -> list[float]:
    return [float(found) for found in re.findall(rf'<rect class="{which}"[^>]* {length}="([\d.]+)"', chart)]


def cells(page: str, table: str) -> dict[str, dict[str, str]]:
    """The cells of a table by the first of their row, and what they are called."""
    (found,) = re.findall(rf'aria-label="{table}">(.*?)</table>', page, re.DOTALL)
    return {
        row[0]: dict(re.findall(r'data-label="([^"]*)">([^<]*)</td>', row[1]))
        for row in re.findall(r'<th scope="row"[^>]*>([^<]*)</th>(.*?)</tr>', found, re.DOTALL)
    }


async def test_charts_are_as_high_as_the_numbers_of_their_tables_and_filtered_with_them(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await lived(notifier)
    for reason in ("session_full", "deadline_passed"):
        await notifier.hear(a_decision(EnrolmentRefused, enrolment_id=uuid4(), reason=reason))
    corse = a_session(session_id=uuid4(), offer_id="autre", title="Une autre", organiser="corse")
    await notifier.hear(SessionScheduled.model_validate(corse.model_dump()))
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), session_id=corse.session_id))
    await jobs.count_figures(notifier.database)
    await log_in(browser)

    page = (await browser.get(FIGURES)).text
    by_month, refusals = re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)
    asked, seats = bars(by_month, "first", "height"), bars(by_month, "second", "height")
    assert (asked, seats) == ([0.0] * 11 + [160.0], [0.0] * 11 + [80.0]), "6 and 3: this month is the last"
    assert bars(refusals, "wrong", "width") == [700.0, 350.0]
    named = re.findall(r"<text [^>]*>([^<]*)</text>", refusals)
    assert named == ["Session complète\u00a0: 2", f"{DEADLINE_PASSED}\u00a0: 1"], "which bar is which"
    assert "La plus haute vaut 6." in page
    assert "Demandes (barre de gauche)" in page, "not by its colour alone"
    (month,) = cells(page, "Ce qui a été compté, mois par mois").values()
    assert (month["Demandes"], month["Places obtenues"], month["Refus"]) == ("6", "3", "3")
    numbers = [row["Nombre"] for row in cells(page, "Refus par motif").values()]
    assert numbers == ["2", "1"]
    of_offers = cells(page, "Par offre et délégation").values()
    assert sorted((row["Délégation"], row["Demandes"]) for row in of_offers) == [
        ("Bretagne", "5"),
        ("Corse", "1"),
    ]

    filtered = (await browser.get(f"{FIGURES}?delegation=corse")).text
    (chart,) = re.findall(r'<svg class="chart".*?</svg>', filtered, re.DOTALL)
    assert (bars(chart, "first", "height")[-1], bars(chart, "second", "height")[-1]) == (160.0, 160.0)
    (month,) = cells(filtered, "Ce qui a été compté, mois par mois").values()
    assert (month["Demandes"], month["Refus"]) == ("1", "0")
    (row,) = cells(filtered, "Par offre et délégation").values()
    assert row["Délégation"] == "Corse"


async def test_figures_of_a_year_or_a_month_are_chosen_also_of_long_ago(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await lived(notifier)
    await jobs.count_figures(notifier.database)
    today = clock.now().astimezone(PARIS).date()
    two_years_ago = today.year - 2
    for month, number in ((3, 4), (5, 1200)):
        await notifier.change(
            "INSERT INTO figure VALUES (:month, 'ia-et-territoires', 'corse', 'asked', '', :number)",
            month=date(two_years_ago, month, 1),
            number=number,
        )
    await log_in(browser)
    page = (await browser.get(FIGURES)).text
    assert "Demandes ce mois" in page
    assert "mois précédent\u00a0: 0" in page
    assert "1\u202f200" not in page
    for period, asked, months in (
        (f"{two_years_ago}", "1\u202f204", ["Mai", "Mars"]),
        (f"{two_years_ago}-05", "1\u202f200", ["Mai"]),
    ):
        assert f'<option value="{period}">' in page
        chosen = (await browser.get(FIGURES, params={"periode": period})).text
        assert f"<dt>Demandes</dt><dd>{asked}</dd>" in chosen
        rows = cells(chosen, "Ce qui a été compté, mois par mois")
        assert list(rows) == [f"{month} {two_years_ago}" for month in months]
        (row,) = cells(chosen, "Par offre et délégation").values()
        assert (row["Délégation"], row["Demandes"]) == ("Corse", asked)
        sheet = (await browser.get(f"{FIGURES}.csv", params={"periode": period})).text
        assert len(sheet.splitlines()) == 1 + len(months)
    none = (await browser.get(FIGURES, params={"periode": f"{two_years_ago}-04"})).text
    assert "Rien n’est compté pour ce choix" in none
    assert "Les douze derniers mois, comptés" in (await browser.get(FIGURES, params={"periode": "x"})).text


async def test_a_delegation_sees_its_own_figures_alone(notifier: Notifier, tmp_path: Path) -> None:
    await lived(notifier)
    corse = a_session(session_id=uuid4(), organiser="corse", offer_id="autre")
    await notifier.hear(SessionScheduled.model_validate(corse.model_dump()))
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), session_id=corse.session_id))
    await jobs.count_figures(notifier.database)
    file = tmp_path / "tokens.json"
    entries = [
        {"name": name, "role": role, "delegation": delegation, "sha256": sha256(name.encode()).hexdigest()}
        for name, role, delegation in (
            ("rennes", "organiser", "bretagne"),
            ("siege", "organiser", None),
            ("assistance", "support", None),
        )
    ]
    file.write_text(json.dumps(entries))
    kept, guard = Tokens(file), a_guard(notifier.database)
    renderer = a_renderer()
    app = api.build(notifier.database, kept, guard, renderer)
    rendering = pages.rendering(Sites.by("http://{}".format), PRIVATE)
    address = "http://notifier"
    pages.staff.add_to(
        app,
        notifier.database,
        rendering,
        tokens=kept,
        guard=guard,
        renderer=renderer,
        public_url=address,
    )
    of = DELEGATION_FIGURES
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=address, follow_redirects=True) as browser:
        assert "Jeton d’accès" in (await browser.get(of)).text
        assert (await browser.post(f"{of}/connexion", data={"jeton": "assistance"})).status_code == 403
        await browser.post(f"{of}/connexion", data={"jeton": "rennes"})
        for choice in ("", "?delegation=corse"):
            page = (await browser.get(f"{of}{choice}")).text
            assert "<h1>Chiffres · Bretagne</h1>" in page
            assert 'name="delegation"' not in page
            rows = cells(page, "Par offre et délégation").values()
            assert [row["Délégation"] for row in rows] == ["Bretagne"]
            sheet = (await browser.get(f"{of}.csv{choice}")).text
            assert {line.split(";")[2] for line in sheet.splitlines()[1:]} == {"Bretagne"}
            assert 'value="autre"' not in page, "nor the offers of others"
        assert f'<a href="{address}{of}" aria-current="page">Chiffres</a>' in (await browser.get(of)).text
        await browser.post(f"{of}/connexion", data={"jeton": "siege"})
        rows = cells((await browser.get(f"{of}?delegation=corse")).text, "Par offre et délégation").values()
        assert [row["Délégation"] for row in rows] == ["Corse"]


def test_the_months_are_the_last_twelve() -> None:
    months = figures.last_months(date(2026, 2, 28))
    assert (months[0], months[-1], len(months)) == (date(2025, 3, 1), date(2026, 2, 1), 12)
    assert set(labels.COUNTED) == set(FigureKind)
    known = figures.periods(date(2025, 11, 1), date(2026, 2, 28))
    assert list(known) == ["2026", "2025", "2026-02", "2026-01", "2025-12", "2025-11"]
    assert known["2025"] == [date(2025, 11, 1), date(2025, 12, 1)]
