"""Whatever the catalogue keeps of people stands in the register, and ends by its rules."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.catalogue.handlers import router
from services.catalogue.personal_data import REGISTER
from services.catalogue.settings import Settings
from services.catalogue.tables import metadata
from shared import clock
from shared.database import Database
from shared.events.portal import BespokeTrainingRequested
from shared.events.vocabulary import Contact
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.messaging.giving_up import end_undecided
from shared.observability import configure_logging
from shared.process.jobs import end_old_rows
from tests.conftest import Ask
from tests.integration.catalogue.conftest import BRETAGNE, drafted, time_is
from tests.integration.catalogue.test_resources import REPLAY, recorded
from tests.support.consuming import a_record, received, take
from tests.support.logs import lines_of, logging_as_before
from tests.support.searching import MARK, columns_with, registered

__all__ = ["recorded"]

SETTINGS = Settings(
    catalogue_database_url="postgresql://user@localhost/name",
    kafka_bootstrap_servers="localhost:1",
    read_log_kept_days=1826,  # the database looks at its own clock, which no test moves
)
SOMEBODY = {"name": MARK, "email": f"{MARK}@exemple.fr"}


async def live_through_everything(database: Database, ask: Ask, offer_id: str) -> None:
    """Leave the mark of people in every way that they come into this service."""
    requested = BespokeTrainingRequested(
        siret="21350238800019",
        authority="Ville de Rennes",
        delegation="bretagne",
        requested_by=Contact.model_validate(SOMEBODY),
        theme="enjeux-ia",
        trainees=15,
        message=MARK,
    )
    record = received(requested)
    await take(router, database, [record])
    answer = {"answer": "declined", "message": MARK, "advisor": SOMEBODY}
    replied = await ask("POST", f"/bespoke-requests/{record.id}/answers", by=BRETAGNE, **answer)
    assert replied.is_success, replied.text
    named = [{"name": MARK, "email": SOMEBODY["email"]}]
    await drafted(ask, offer_id, experts=[MARK], summary=MARK, trainers=named)
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(requested), None, "no reason", MARK)])


async def test_whatever_is_kept_of_people_stands_in_the_register(
    a_bespoke_offer: str, ask: Ask, database: Database
) -> None:
    await live_through_everything(database, ask, a_bespoke_offer)

    found = await columns_with(database, metadata)

    assert found - registered(REGISTER) == set()
    assert {table for table, _ in found} == {
        "audit_log",
        "bespoke_request",
        "dead_letter",
        "outbox",
        "session",
        "trainer",
    }


async def test_at_debug_the_log_tells_of_each_event_and_batch_and_names_nobody(
    a_bespoke_offer: str, ask: Ask, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_as_before():
        configure_logging("json", "DEBUG", "catalogue")
        await live_through_everything(database, ask, a_bespoke_offer)

    lines = lines_of(capsys)
    assert MARK.lower() not in str(lines).lower()
    said = [line["message"] for line in lines]
    assert [text for text in said if text.startswith("portal.bespoke: a batch of 1 in ")]
    assert [text for text in said if text.endswith("BespokeTrainingRequested.v1")]


async def test_the_presentation_of_a_resource_which_may_name_speakers_stands_in_the_register(
    recorded: str, ask: Ask, database: Database
) -> None:
    replay = {**REPLAY, "session_id": recorded, "summary": f"Avec {MARK}."}
    assert (await ask("POST", "/replays", by=BRETAGNE, **replay)).status_code == 201

    found = await columns_with(database, metadata)

    of_resource = {("resource", "summary"), ("resource", "search_vector")}
    assert of_resource <= found
    assert found - registered(REGISTER) == set()


async def test_nothing_is_left_of_an_officer_when_every_rule_has_ended_it(
    a_bespoke_offer: str, ask: Ask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_through_everything(database, ask, a_bespoke_offer)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now()"))
    later = clock.now() + timedelta(days=SETTINGS.catalogue_bespoke_kept_days + 1)
    async with time_is(monkeypatch, later):
        assert await end_undecided(database, router, SETTINGS.dead_letters_kept_days) is not None
        await end_old_rows(database, REGISTER, SETTINGS)

    # Who is announced as an expert is named until the organiser says otherwise.
    assert {table for table, _ in await columns_with(database, metadata)} == {"audit_log", "session"}


async def test_the_audit_log_is_append_only_for_half_a_year_and_ends_after_its_days(
    a_bespoke_offer: str, ask: Ask, database: Database
) -> None:
    await drafted(ask, a_bespoke_offer)
    for change in ("UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.transaction() as tx:
                await tx.execute(text(change))
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO audit_log (at, actor, action, subject, version, changes) "
                              "SELECT at - interval '181 days', 'old', action, subject, version, changes "
                              "FROM audit_log"))  # fmt: skip
    settings = SETTINGS.model_copy(update={"catalogue_audit_kept_days": 181})
    await end_old_rows(database, REGISTER, settings)
    async with database.quiet_transaction() as tx:
        assert "old" not in set(await tx.scalars(text("SELECT actor FROM audit_log")))
        assert await tx.scalar(text("SELECT count(*) FROM audit_log"))
