"""How long the notifier keeps mails and digests; the rest is in `tests/integration/services`."""

from datetime import timedelta

import pytest

from services.notifier.personal_data import REGISTER
from services.notifier.settings import Settings
from shared import clock
from shared.process.jobs import end_old_rows
from tests.integration.notifier.conftest import Notifier

SETTINGS = Settings(
    notifier_database_url="postgresql://user@localhost/name",
    kafka_bootstrap_servers="localhost:1",
    smtp_host="127.0.0.1",
    smtp_sender="Parcours <ne-pas-repondre@parcours.example>",
    parcours_trial=True,
)


@pytest.mark.parametrize(
    ("kept_days", "table"),
    [
        (SETTINGS.notifier_mails_kept_days, "mail"),
        # A digest, which no search for a person finds.
        (SETTINGS.notifier_addresses_kept_days, "suppression"),
    ],
    ids=["an ambiguous mail", "an address that is written to no more"],
)
async def test_it_ends_after_its_days(
    queued: Notifier, monkeypatch: pytest.MonkeyPatch, kept_days: int, table: str
) -> None:
    await queued.suppress("agent@exemple.fr")
    await queued.change("UPDATE mail SET state = 'ambiguous', settled_at = NULL")
    now, left = clock.now(), []
    for days in (-1, 1):
        later = now + timedelta(days=kept_days + days)
        monkeypatch.setattr("shared.clock.now", lambda later=later: later)
        await end_old_rows(queued.database, REGISTER, SETTINGS)
        left.append(len(await queued.query(f"SELECT 1 FROM {table}")) > 0)
    assert left == [True, False]
