"""Sessions: read, claimed, locked, stored with their events; and how full they are."""

from services.catalogue.store.sessions.changing import (
    Change,
    add,
    claim_due,
    delete,
    for_update,
    loaded_for_update,
    next_announcement_after,
    save,
    save_announced,
    save_loaded,
)
from services.catalogue.store.sessions.facts import (
    PUBLIC,
    Given,
    Listed,
    Loaded,
    Presentation,
    Viewer,
    Wanted,
)
from services.catalogue.store.sessions.listing import (
    addresses,
    count,
    offer_ids,
    page,
    page_query,
    shown,
    titles,
)
from services.catalogue.store.sessions.occupancy import compare_occupancy, record_occupancy

__all__ = [
    "PUBLIC",
    "Change",
    "Given",
    "Listed",
    "Loaded",
    "Presentation",
    "Viewer",
    "Wanted",
    "add",
    "addresses",
    "claim_due",
    "compare_occupancy",
    "count",
    "delete",
    "for_update",
    "loaded_for_update",
    "next_announcement_after",
    "offer_ids",
    "page",
    "page_query",
    "record_occupancy",
    "save",
    "save_announced",
    "save_loaded",
    "shown",
    "titles",
]
