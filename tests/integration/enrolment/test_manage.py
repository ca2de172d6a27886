"""Where organisers begin: their sessions alone, what waits for them, and the numbers of each session."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from shared.database import Database
from shared.events.vocabulary import Status
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.manage import (
    MANAGE,
    OrganiserClient,
    from_now,
    log_in,
    page_of,
    send,
    text_of,
)
from tests.integration.enrolment.organising import ADMIN, CORSE, MODULES
from tests.support.builders import an_agent

START = "services.enrolment.pages.manage.start"
OVERVIEW = "services.enrolment.service.overview"
UNRECORDED = "Des présences ne sont pas encore enregistrées."


async def start_page(organiser: OrganiserClient, rest: str = "") -> str:
    return text_of(await organiser.get(f"{MANAGE}{rest}")).replace("\u00a0", " ")


async def test_the_first_page_has_the_sessions_of_the_delegation_alone(
    front: Front, visitor: OrganiserClient
) -> None:
    await front.open(venue="Hôtel de ville, 35000 Rennes")
    await front.open(venue="Palais, 20000 Ajaccio", organiser="corse")
    for token, expected in ((CORSE, ["Ajaccio"]), (ADMIN, ["Ajaccio", "Rennes"])):
        await log_in(visitor, token)
        page = await start_page(visitor)
        assert [town for town in ("Ajaccio", "Rennes") if town in page] == expected


async def end_all(database: Database, at: datetime) -> None:
    """Have all sessions end at this moment."""
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE session SET version = version + 1, state = state || jsonb_build_object("
                "'enrolment_closes_at', CAST(:end AS timestamptz) - interval '2 days', "
                "'starts_at', CAST(:end AS timestamptz) - interval '1 day', "
                "'ends_at', CAST(:end AS timestamptz))"
            ),
            {"end": at},
        )


async def test_attendance_is_asked_for_until_that_at_every_module_is_recorded(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    agent, asked = an_agent(), []
    session = await front.open(agent, starts_at=from_now(hours=-1), modules=MODULES)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    for module in ("1", "2"):
        form = {f"avant-{enrolment_id}": "", f"p-{enrolment_id}": "attended"}
        await send(organiser, page_of(session, f"/presence?seance={module}"), **form)
        await end_all(database, from_now(days=-1))
        asked.append(UNRECORDED in await start_page(organiser))
    assert asked == [True, False]


async def test_attendance_is_asked_for_in_the_ninety_days_after_a_session(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    await front.open(an_agent())
    shown = {}
    for days in (1, 60, 120):
        await end_all(database, from_now(days=-days))
        page = await start_page(organiser)
        shown[days] = UNRECORDED in page, "Terminées depuis peu" in page
    assert shown == {1: (True, True), 60: (True, False), 120: (False, False)}


async def test_a_mooc_that_is_over_takes_no_place_among_the_sessions(
    front: Front, organiser: OrganiserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await front.open(an_agent(), format="mooc")
    await end_all(database, from_now(days=-60))
    monkeypatch.setattr(f"{OVERVIEW}.MOST", 1)
    for is_cut in (False, True):
        await front.open()
        page = await start_page(organiser)
        assert page.count("Inscriptions ouvertes") == 1
        assert ("Voici les deux cents premières" in page) == is_cut


async def test_tasks_and_dates_are_read_page_by_page_and_tasks_by_kind(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("SHOWN", "PAGE"):
        monkeypatch.setattr(f"{START}.{limit}", 1)
    agent = an_agent()
    await front.open(agent, approval="employer", enrolment_closes_at=from_now(days=3))
    offering = await front.open(agent, an_agent(), capacity=1, waiting_list="offer")
    await front.withdraw(offering, agent)
    links = (
        "sans l’accord|place proposée|Tâches suivantes|Tâches précédentes|Dates suivantes|Dates précédentes"
    )
    shown = {
        rest: re.findall(links, await start_page(organiser, rest))
        for rest in ("", "/a-faire", "/a-faire?apres=1", "/a-faire?quoi=offers_out", "/a-faire?apres=9999")
    }
    assert shown == {
        "": ["sans l’accord"],
        "/a-faire": ["sans l’accord", "Tâches suivantes"],
        "/a-faire?apres=1": ["place proposée", "Tâches précédentes"],
        "/a-faire?quoi=offers_out": ["place proposée"],
        "/a-faire?apres=9999": ["Tâches précédentes"],
    }
    weeks = [re.findall(links, await start_page(organiser, f"/semaine{rest}")) for rest in ("", "?apres=1")]
    assert (weeks[0][-1:], "Dates précédentes" in weeks[1]) == (["Dates suivantes"], True)


async def test_the_numbers_of_a_session_are_a_part_of_their_own_that_is_not_sent_twice(
    front: Front, organiser: OrganiserClient
) -> None:
    session = await front.open(capacity=2)
    path = page_of(session, "/places")
    before = await organiser.get(path)
    assert "private" in before.headers["cache-control"]
    known = {"if-none-match": before.headers["etag"]}
    assert (await organiser.get(path, headers=known)).status_code == 304
    await front.enrol(session, an_agent())
    assert re.search(r"\b1\sinscription sur 2\splaces", (await organiser.get(path, headers=known)).text)


async def test_each_page_of_a_session_says_by_which_clocks_it_goes_where_these_are_not_those_of_paris(
    front: Front, organiser: OrganiserClient
) -> None:
    far, near = await front.open(timezone="America/Martinique"), await front.open()
    for page in ("", "/attente", "/presence", "/pointage", "/messages", "/historique"):
        there, here = [text_of(await organiser.get(page_of(each, page))) for each in (far, near)]
        assert "heure de la Martinique" in there
        assert "Heures de cette page" not in here


async def test_the_pages_of_a_cancelled_session_offer_no_action(
    front: Front, organiser: OrganiserClient
) -> None:
    session = await front.open(an_agent())
    actions, offered = 'value="write"|value="withdraw"|value="prioritise"|name="texte"|/ajout', []
    for version, status in ((2, Status.PUBLISHED), (3, Status.CANCELLED)):
        await front.change(session, version=version, status=status)
        pages = [(await organiser.get(page_of(session, path))).text for path in ("", "/messages")]
        offered.append(len(set(re.findall(actions, "".join(pages)))))
    assert offered == [5, 0]


async def test_whoever_is_noted_at_todays_module_is_expected_no_more(
    front: Front, organiser: OrganiserClient
) -> None:
    agents = an_agent(), an_agent(), an_agent()
    hour = from_now(hours=0)
    modules = [
        {"title": title, "starts_at": str(hour + days), "ends_at": str(hour + days + timedelta(minutes=20))}
        for title, days in (("Comprendre", timedelta(0)), ("Pratiquer", timedelta(days=2)))
    ]
    session = await front.open(*agents, starts_at=hour, modules=modules)
    ids = [(await front.of(session, agent)).enrolment_id for agent in agents]

    async def expected() -> list[str]:
        return re.findall(r"(\d+ personnes? attendues?[^.]*)\.", await start_page(organiser))

    shown = await expected()
    await send(organiser, page_of(session, "/pointage"), present=str(ids[0]))
    shown += await expected()
    await send(
        organiser, page_of(session, "/presence?seance=1"), **{f"avant-{ids[1]}": "", f"p-{ids[1]}": "absent"}
    )
    shown += await expected()
    await send(organiser, page_of(session, "/pointage"), present=str(ids[2]))
    assert (shown, await expected()) == (
        [
            "3 personnes attendues",
            "2 personnes attendues, 1 déjà pointée",
            "1 personne attendue, 2 déjà pointées",
        ],
        [],
    )
