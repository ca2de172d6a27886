"""A catalogue for tests: the offer of its files, loaded."""

import functools
from datetime import date, timedelta
from pathlib import Path

from services.catalogue.offer_files.planning import OfferFiles
from services.catalogue.offer_files.reading import OFFER, read, whole_weeks_since
from services.catalogue.service import loading
from services.catalogue.service.loading import Summary
from shared.database import Database


async def load(database: Database, directory: Path = OFFER, *, as_of: date | None = None) -> Summary:
    """Load an offer as ``load-offer`` does."""
    files = _read_once(directory, timedelta(0) if as_of is None else whole_weeks_since(as_of))
    async with database.transaction() as tx:
        return await loading.load(tx, files)


@functools.cache
def _read_once(directory: Path, shift: timedelta) -> OfferFiles:
    """Read the files of an offer: 0.13 s of the processor for those of the national offer."""
    return read(directory, shift=shift)
