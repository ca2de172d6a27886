"""Figures of the offer: counted once, kept when agents are forgotten, shown and exported."""

import re
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.notifier import jobs
from services.notifier.app import eraser
from services.notifier.service import figures
from services.notifier.service.figures import PARIS, FigureKind
from shared import clock
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatLeft,
)
from shared.messaging.portals.registry import PortalsFile
from shared.personal_data import Subject
from shared.web import labels
from shared.web.links import DELEGATION_FIGURES
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import ZOE, scheduled
from tests.integration.notifier.test_mail_log import LOG, browser, log_in, tokens
from tests.unit.notifier.builders import a_decision, an_agent

__all__ = ["browser", "tokens"]
FIGURES = f"{LOG}/chiffres"
OFFER = "ia-et-territoires"
BREST = {"siret": "21290019700012", "name": "Ville de Brest", "delegation": "bretagne"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded is counted, however new; the month is one, also if it ends meanwhile."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(figures, "SETTLED", timedelta(0))


async def lived(notifier: Notifier, *, known: bool = False) -> None:
    """An agent waits, is seated and comes. One is refused. Three have seats and are absent, one justified."""
    if not known:
        await notifier.hear(scheduled())
    await notifier.hear(a_decision(AgentWaitlisted, position=1))
    await notifier.hear(a_decision(AgentEnrolled, version=2, from_waiting_list=True))
    await notifier.hear(a_decision(AttendanceRecorded, version=3, attendance="attended", certified=True))
    await notifier.hear(a_decision(EnrolmentRefused, enrolment_id=uuid4(), reason="session_full"))
    for number, attendance in enumerate(("absent", "absent", "absent_justified")):
        of_agent = {"enrolment_id": uuid4(), "agent": an_agent(agent_id=f"A-{number}")}
        await notifier.hear(a_decision(AgentEnrolled, **of_agent))
        await notifier.hear(a_decision(AttendanceRecorded, attendance=attendance, version=2, **of_agent))
    await notifier.deliver()


async def counted(notifier: Notifier) -> dict[str, int]:
    """Run the job. Returns the figures of the offer in Brittany."""
    await jobs.count_figures(notifier.database)
    rows = await notifier.query(
        f"SELECT kind, reason, number FROM figure WHERE offer_id = '{OFFER}' AND organiser = 'bretagne'"
    )
    return {f"{row.kind} {row.reason}".strip(): row.number for row in rows}


async def test_what_happened_is_counted_once_however_often_the_job_runs(notifier: Notifier) -> None:
    await lived(notifier)
    expected = {"asked": 5, "enrolled": 4, "waitlisted": 1, "refused session_full": 1}
    expected |= {"attended": 1, "absent": 2, "absent_justified": 1}
    expected |= {"letters": len(await notifier.rows(where="state = 'sent'"))}
    assert await counted(notifier) == expected
    assert await counted(notifier) == expected
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    assert await counted(notifier) == expected | {"asked": 6, "enrolled": 5}


async def test_a_change_of_session_is_no_request_and_no_end_and_enrolments_that_join_are_no_end(
    known: Notifier,
) -> None:
    old, new, kept = uuid4(), uuid4(), uuid4()
    await known.hear(a_decision(AgentEnrolled, enrolment_id=old))
    left = SeatLeft(session_id=uuid4(), enrolment_id=old, version=2)
    await known.hear(a_decision(AgentEnrolled, enrolment_id=new, moved_from=left))
    await known.hear(a_decision(EnrolmentWithdrawn, enrolment_id=old, version=2, moved_to=new))
    await known.hear(a_decision(EnrolmentWithdrawn, enrolment_id=new, version=2, joined_to=kept))
    await known.hear(a_decision(EnrolmentWithdrawn, enrolment_id=kept, version=2))
    assert await counted(known) == {"asked": 1, "enrolled": 2, "withdrawn": 1}


async def test_what_may_still_be_written_is_counted_later(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lived(notifier)
    with monkeypatch.context() as patched:
        patched.setattr(figures, "SETTLED", timedelta(minutes=10))
        assert await counted(notifier) == {}
    assert (await counted(notifier))["asked"] == 5


async def test_figures_stay_when_an_agent_is_forgotten(notifier: Notifier, portals: PortalsFile) -> None:
    await lived(notifier)
    before = await counted(notifier)
    async with notifier.database.transaction() as tx:
        await eraser(notifier.database, portals, b"")._erase(tx, Subject(agent=ZOE, until=clock.now()))
    assert await counted(notifier) == before


def this_month() -> date:
    return clock.now().astimezone(PARIS).date().replace(day=1)


TWO_YEARS_AGO = clock.now().year - 2


@pytest.fixture
async def counts(notifier: Notifier) -> Notifier:
    """Requests of this month and of two years ago, in two delegations."""
    for month, offer, organiser, kind, number in (
        (this_month(), OFFER, "bretagne", "asked", 6),
        (this_month(), OFFER, "bretagne", "enrolled", 3),
        (this_month(), "autre", "corse", "asked", 1),
        (date(TWO_YEARS_AGO, 3, 1), OFFER, "corse", "asked", 4),
        (date(TWO_YEARS_AGO, 5, 1), OFFER, "bretagne", "asked", 5),
    ):
        values: dict[str, Any] = {"month": month, "offer": offer, "organiser": organiser, "kind": kind}
        insert = "INSERT INTO figure VALUES (:month, :offer, :organiser, :kind, '', :number)"
        await notifier.change(insert, number=number, **values)
    return notifier


async def numbers(browser: httpx.AsyncClient, page: str, **query: str) -> list[int]:
    """The numbers of the sheet, by month."""
    sheet = await browser.get(f"{page}.csv", params=query)
    assert sheet.headers["content-type"].startswith("text/csv")
    return [int(line.split(";")[5]) for line in sheet.text.splitlines()[1:]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 3, 6]),
        ({"delegation": "bretagne"}, [3, 6]),
        ({"offre": "autre"}, [1]),
        ({"periode": f"{TWO_YEARS_AGO}"}, [4, 5]),
        ({"periode": f"{TWO_YEARS_AGO}-05"}, [5]),
        ({"periode": f"{TWO_YEARS_AGO}-04"}, []),
        ({"periode": "x"}, [1, 3, 6]),
    ],
)
async def test_figures_are_filtered_and_exported(
    counts: Notifier, browser: httpx.AsyncClient, query: dict[str, str], expected: list[int]
) -> None:
    await log_in(browser)
    assert sorted(await numbers(browser, FIGURES, **query)) == expected


async def test_a_line_of_the_sheet_has_words_and_codes_and_the_title_of_an_offer_made_on_the_pages(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await notifier.hear(scheduled(offer_id="ia-pour-les-elus", title="L’IA pour les élues et élus"))
    await notifier.hear(a_decision(EnrolmentRefused, reason="session_full"))
    await counted(notifier)
    await log_in(browser)
    sheet = (await browser.get(f"{FIGURES}.csv")).text
    line = f"{this_month()};L’IA pour les élues et élus;Bretagne;Refus;session complète;1"
    assert f"{line};ia-pour-les-elus;bretagne;refused;session_full" in sheet
    assert "Durand" not in sheet


async def test_bars_are_as_high_as_their_numbers(counts: Notifier, browser: httpx.AsyncClient) -> None:
    await log_in(browser)

    async def bars(**query: str) -> list[list[float]]:
        page = (await browser.get(FIGURES, params=query)).text
        return [
            [float(height) for height in re.findall(rf'<rect class="{bar}"[^>]* height="([\d.]+)"', page)]
            for bar in ("first", "second")
        ]

    assert await bars(delegation="bretagne") == [[0.0] * 11 + [160.0], [0.0] * 11 + [80.0]]
    assert await bars(delegation="corse") == [[0.0] * 11 + [160.0], [0.0] * 12]


@pytest.mark.parametrize(
    ("token", "delegation", "expected"),
    [("bretagne", "", [3, 6]), ("bretagne", "corse", [3, 6]), ("organiser", "corse", [1])],
)
async def test_a_delegation_sees_its_own_figures_alone(
    counts: Notifier, browser: httpx.AsyncClient, token: str, delegation: str, expected: list[int]
) -> None:
    await browser.post(f"{DELEGATION_FIGURES}/connexion", data={"jeton": token})
    query = {"delegation": delegation}
    page = (await browser.get(DELEGATION_FIGURES, params=query)).text
    assert ('name="delegation"' in page, 'value="autre"' in page) == ((token == "organiser",) * 2)
    assert sorted(await numbers(browser, DELEGATION_FIGURES, **query)) == expected


async def test_seats_and_absences_are_rates_of_what_began_and_was_recorded(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    hour = timedelta(hours=1)
    began, coming = clock.now() - hour, clock.now() + hour
    await notifier.hear(scheduled(starts_at=began, capacity=10))
    await notifier.hear(scheduled(session_id=uuid4(), starts_at=coming, capacity=90))
    await notifier.hear(scheduled(session_id=uuid4(), starts_at=began, capacity=None))
    await lived(notifier, known=True)
    await counted(notifier)
    await log_in(browser)
    page = re.sub("<[^>]+>", " ", (await browser.get(FIGURES)).text).replace("\u00a0", " ")
    rates = re.findall(r"(Remplissage|Absences) +(\d+) %", page)
    assert rates == [("Remplissage", "40"), ("Absences", "75")]


async def test_authorities_are_counted_once_by_session_by_offer_and_in_all_and_outlive_their_agents(
    notifier: Notifier, browser: httpx.AsyncClient, portals: PortalsFile
) -> None:
    """Rennes seats two agents of Rennes and one of Brest, who withdraws. Vannes seats one of Rennes."""
    vannes = uuid4()
    await notifier.hear(scheduled(starts_at=clock.now()))
    later = clock.now() + timedelta(days=1)
    await notifier.hear(scheduled(session_id=vannes, starts_at=later, venue="Palais des arts, Vannes"))
    brest = an_agent(agent_id="B", employer=BREST)
    left = uuid4()
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=an_agent(agent_id="A-2")))
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=left, agent=brest))
    await notifier.hear(a_decision(EnrolmentWithdrawn, enrolment_id=left, version=2, agent=brest))
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), session_id=vannes))
    await counted(notifier)
    await notifier.hear(a_decision(AttendanceRecorded, version=2, attendance="attended"))
    await counted(notifier)
    async with notifier.database.transaction() as tx:
        await eraser(notifier.database, portals, b"")._erase(tx, Subject(agent=ZOE, until=clock.now()))
    await log_in(browser)
    page = re.sub(r"(<[^>]+>|\s)+", " ", (await browser.get(FIGURES)).text)
    assert "Collectivités 2 dont présentes : 1" in page
    assert re.search(r"IA et territoires[^|]* Bretagne 4 4 0 0 1 0 0 0 0 2 dont 1 ", page)
    assert re.findall(r"(Vannes|Rennes), [^(]*\([^)]*\) Bretagne (\d) dont (\d)", page) == [
        ("Vannes", "1", "0"),
        ("Rennes", "2", "1"),
    ]


def test_the_months_are_the_last_twelve() -> None:
    months = figures.last_months(date(2026, 2, 28))
    assert (months[0], months[-1], len(months)) == (date(2025, 3, 1), date(2026, 2, 1), 12)
    assert set(labels.COUNTED) == set(FigureKind)
    known = figures.periods(date(2025, 11, 1), date(2026, 2, 28))
    assert list(known) == ["2026", "2025", "2026-02", "2026-01", "2025-12", "2025-11"]
    assert known["2025"] == [date(2025, 11, 1), date(2025, 12, 1)]
