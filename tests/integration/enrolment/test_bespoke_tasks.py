"""Bespoke requests of the catalogue, in the one list of what waits for an organiser."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.personal_data import BESPOKE_TASKS
from services.enrolment.service import overview
from shared.auth import Principal
from shared.database import Database
from shared.events.catalogue import BespokeRequestClosed
from shared.events.vocabulary import Event
from shared.permissions import Role
from tests.integration.enrolment.bespoke import answered, requested
from tests.integration.enrolment.conftest import SelectRows
from tests.support.consuming import received, take

BRETAGNE, CORSE, EVERYWHERE = (
    Principal(name="somebody", role=Role.ORGANISER, delegation=delegation)
    for delegation in ("bretagne", "corse", None)
)
REQUEST = UUID(int=1)


async def hear(database: Database, *events: Event) -> None:
    await take(router, database, [received(event) for event in events])


async def waiting(database: Database, organiser: Principal = BRETAGNE) -> list[tuple[str, str]]:
    """The authorities whose requests wait for an organiser, each with what is to be done."""
    async with database.quiet_transaction() as tx:
        found = await overview.bespoke_tasks_of(tx, organiser)
    return [(task.authority, task.step.name) for task in found]


async def test_a_bespoke_request_waits_until_the_authority_has_a_proposal(database: Database) -> None:
    steps = []
    for event in (requested(REQUEST), answered(REQUEST, "qualified"), answered(REQUEST, "proposed")):
        await hear(database, event)
        steps.append(await waiting(database))
    assert steps == [[("Ville de Rennes", "NEW")], [("Ville de Rennes", "TAKEN_ON")], []]


CLOSED = BespokeRequestClosed(request_id=REQUEST, request_source="/portals/essai", siret="21350238800019")


@pytest.mark.parametrize(
    "end",
    [answered(REQUEST, "agreed"), answered(REQUEST, "declined"), CLOSED],
    ids=["agreed", "declined", "closed"],
)
@pytest.mark.parametrize("order", [*permutations(("requested", "qualified", "end"))], ids=" ".join)
async def test_a_request_that_is_answered_or_forgotten_waits_no_more_in_whichever_order_it_is_heard(
    database: Database, end: Event, order: tuple[str, ...]
) -> None:
    events = {"requested": requested(REQUEST), "qualified": answered(REQUEST, "qualified"), "end": end}
    for name in order:
        await hear(database, events[name])
    assert await waiting(database) == []


async def test_each_organiser_sees_the_requests_of_their_delegation_the_longest_wait_first(
    database: Database,
) -> None:
    early = datetime(2026, 3, 1, 9, tzinfo=UTC)
    await hear(
        database,
        requested(uuid4(), authority="Brest", received_at=early + timedelta(days=2)),
        requested(uuid4(), authority="Vannes", received_at=early),
        requested(uuid4(), authority="Bastia", delegation="corse", received_at=early + timedelta(days=1)),
        answered(uuid4(), "qualified"),  # whose delegation is not known here
    )
    seen = [[name for name, _ in await waiting(database, who)] for who in (EVERYWHERE, CORSE)]
    assert seen == [["Vannes", "Bastia", "Brest"], ["Bastia"]]


async def test_the_same_identifier_of_two_portals_is_two_requests(database: Database) -> None:
    await hear(database, requested(REQUEST), requested(REQUEST, request_source="/portals/autre"))
    await hear(database, answered(REQUEST, "declined"))
    assert await waiting(database) == [("Ville de Rennes", "NEW")]


async def test_what_is_kept_of_a_request_names_nobody_and_ends(database: Database, rows: SelectRows) -> None:
    await hear(database, requested(REQUEST), requested(uuid4(), received_at=datetime.now(UTC)))
    kept = str(await rows("SELECT * FROM bespoke_task"))
    assert ("Léa" in kept, "lea.martin" in kept) == (False, False)
    async with database.transaction() as tx:
        before = {"before": datetime(2026, 6, 1, tzinfo=UTC)}
        await tx.execute(text(f"DELETE FROM bespoke_task WHERE {BESPOKE_TASKS.over}"), before)
    assert len(await rows("SELECT 1 FROM bespoke_task")) == 1
