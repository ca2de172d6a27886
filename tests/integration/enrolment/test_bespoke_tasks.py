"""Bespoke requests of the catalogue, in the one list of what waits for an organiser."""

import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.personal_data import BESPOKE_TASKS
from shared.database import Database
from shared.events import Event
from shared.events.catalogue import BespokeRequestClosed
from tests.integration.enrolment.bespoke import answered, requested
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, log_in, text_of
from tests.integration.enrolment.organising import ADMIN, CORSE
from tests.support.builders import an_agent, open_now
from tests.support.consuming import received, take


async def hear(database: Database, *events: Event) -> None:
    await take(router, database, [received(event) for event in events])


async def tasks(browser: OrganiserClient) -> list[str]:
    """The tasks of the first page, each as one reads it."""
    page = (await browser.get(MANAGE)).text
    (main,) = re.findall(r"<h2>À faire</h2>(.*?)</div>\s*<aside>", page, re.DOTALL)
    found = re.findall(r"<li>.*?</li>", main, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", task).split()) for task in found]


async def test_a_bespoke_request_is_in_the_list_until_the_authority_has_a_proposal(
    organiser: OrganiserClient, database: Database
) -> None:
    request_id = uuid4()
    await hear(database, requested(request_id))
    (task,) = await tasks(organiser)
    assert task.startswith("Demande sur mesure à prendre en charge. Ville de Rennes, 15 personnes à former")
    assert "depuis le dimanche 1er mars 2026" in task
    assert f"/gestion/demandes/{request_id}" in (await organiser.get(MANAGE)).text
    await hear(database, answered(request_id, "qualified"))
    (task,) = await tasks(organiser)
    assert task.startswith("Demande sur mesure en instruction : proposition à faire. Ville de Rennes")
    await hear(database, answered(request_id, "proposed"))
    assert await tasks(organiser) == []
    assert "Vous n’avez rien à faire" in text_of(await organiser.get(MANAGE))


@pytest.mark.parametrize("answer", ["agreed", "declined"])
async def test_what_is_answered_waits_no_more_in_whichever_order_it_is_heard(
    organiser: OrganiserClient, database: Database, answer: str
) -> None:
    first, second, third = uuid4(), uuid4(), uuid4()
    await hear(database, requested(first), answered(first, answer))
    await hear(database, answered(second, answer))
    await hear(database, requested(second))
    await hear(database, answered(third, answer))  # of a request that came before any was kept here
    await hear(database, requested(first))
    await hear(database, answered(first, "qualified"))
    assert await tasks(organiser) == []


async def test_who_is_forgotten_leaves_no_task_behind_in_whichever_order_it_is_heard(
    organiser: OrganiserClient, database: Database
) -> None:
    first, second = uuid4(), uuid4()
    gone = [
        BespokeRequestClosed(request_id=each, request_source="/portals/essai", siret="21350238800019")
        for each in (first, second)
    ]
    await hear(database, requested(first), answered(first, "qualified"))
    assert len(await tasks(organiser)) == 1
    await hear(database, *gone)
    await hear(database, requested(second))
    assert await tasks(organiser) == []


async def test_each_sees_the_requests_of_their_delegation_who_waits_longest_first(
    visitor: OrganiserClient, database: Database
) -> None:
    early, between, late = (datetime(2026, 3, day, 9, tzinfo=UTC) for day in (1, 2, 3))
    await hear(database, requested(uuid4(), authority="Ville de Brest", received_at=late))
    await hear(database, requested(uuid4(), authority="Ville de Vannes", received_at=early))
    await hear(
        database, requested(uuid4(), authority="Ville de Bastia", delegation="corse", received_at=between)
    )
    await hear(database, answered(uuid4(), "qualified"))  # whose delegation is not known here
    seen = {}
    for token in (ADMIN, CORSE):
        await log_in(visitor, token)
        seen[token] = re.findall(r"\. Ville de (\w+),", " ".join(await tasks(visitor)))
    assert seen == {ADMIN: ["Vannes", "Bastia", "Brest"], CORSE: ["Bastia"]}


async def test_the_same_identifier_of_two_portals_is_two_requests(
    organiser: OrganiserClient, database: Database
) -> None:
    request_id = uuid4()
    await hear(database, requested(request_id), requested(request_id, request_source="/portals/autre"))
    await hear(database, answered(request_id, "declined"))
    assert len(await tasks(organiser)) == 1


async def test_requests_stand_among_what_waits_in_sessions_by_how_urgent_it_is(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    offering = open_now(capacity=1, waiting_list="offer", venue="Quimper")
    first, second = an_agent(), an_agent()
    await front.publish(offering)
    await front.enrol(offering, first, second)
    await front.withdraw(offering, first)
    await hear(database, requested(uuid4()))
    bespoke, offer = await tasks(organiser)
    assert bespoke.startswith("Demande sur mesure")
    assert offer.startswith("1 place proposée")


async def test_what_is_kept_of_a_request_names_nobody_and_ends(database: Database) -> None:
    await hear(database, requested(uuid4()), requested(uuid4(), received_at=datetime.now(UTC)))
    async with database.transaction() as tx:
        row = str((await tx.execute(text("SELECT * FROM bespoke_task LIMIT 1"))).mappings().one())
        assert "Léa" not in row
        assert "lea.martin" not in row
        await tx.execute(
            text(f"DELETE FROM bespoke_task WHERE {BESPOKE_TASKS.over}"),
            {"before": datetime(2026, 6, 1, tzinfo=UTC)},
        )
        assert await tx.scalar(text("SELECT count(*) FROM bespoke_task")) == 1
