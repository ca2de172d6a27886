"""A catalogue for tests: the offer of its files, loaded."""

from datetime import date, timedelta
from pathlib import Path

from services.catalogue.offer_files.reading import OFFER, read, whole_weeks_since
from services.catalogue.service import loading
from services.catalogue.service.loading import Summary
from shared.database import Database


async def load(database: Database, directory: Path = OFFER, *, as_of: date | None = None) -> Summary:
    """Load an offer as ``load-offer`` does."""
    files = read(directory, shift=timedelta(0) if as_of is None else whole_weeks_since(as_of))
    async with database.transaction() as tx:
        return await loading.load(tx, files)
