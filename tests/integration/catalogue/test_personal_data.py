"""How long the catalogue keeps who changed what; the rest is in `tests/integration/services`."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.catalogue.personal_data import REGISTER
from services.catalogue.settings import Settings
from shared.database import Database
from shared.process.jobs import end_old_rows
from tests.conftest import Ask
from tests.integration.catalogue.conftest import drafted

SETTINGS = Settings(
    catalogue_database_url="postgresql://user@localhost/name", kafka_bootstrap_servers="localhost:1"
).model_copy(update={"catalogue_audit_kept_days": 181})
A_COPY_OF_LONG_AGO = (
    "INSERT INTO audit_log (at, actor, action, subject, version, changes) "
    "SELECT at - interval '181 days', 'old', action, subject, version, changes FROM audit_log"
)


async def test_the_audit_log_is_append_only_for_half_a_year_and_ends_after_its_days(
    an_empty_offer: str, ask: Ask, database: Database
) -> None:
    await drafted(ask, an_empty_offer)
    for change in ("UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.transaction() as tx:
                await tx.execute(text(change))
    async with database.transaction() as tx:
        before = list(await tx.scalars(text("SELECT actor FROM audit_log")))
        await tx.execute(text(A_COPY_OF_LONG_AGO))
    await end_old_rows(database, REGISTER, SETTINGS)
    async with database.quiet_transaction() as tx:
        assert list(await tx.scalars(text("SELECT actor FROM audit_log"))) == before != []
