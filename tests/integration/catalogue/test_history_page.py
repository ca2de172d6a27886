"""The history of a session as its organiser reads it: each change with its author, before and after."""

import re
from html import unescape
from uuid import UUID

from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from shared.database import Database
from tests.integration.catalogue.browsing import HttpBrowser, created, log_in, organiser, send, text_of
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE

__all__ = ["organiser"]


async def test_each_change_has_its_author_and_names_only_trainers_who_are_still_named(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    await send(organiser, path, venue="Quimper", trainers="Zoé Durand <zoe.durand@exemple.fr>")
    page = text_of((await organiser.get(f"{path}/historique")).text)
    assert "Formatrices et formateurs Ajouté Zoé Durand" in page
    assert "exemple.fr" not in page
    await send(organiser, path, venue="Lannion", trainers="")
    page = text_of((await organiser.get(f"{path}/historique")).text)
    assert f"par {BRETAGNE} Lieu Avant : Quimper → ; après : Lannion" in page
    assert "Formatrices et formateurs Retiré une personne qui n’est plus nommée" in page
    assert page.index("après : Lannion") < page.index("après : Quimper")
    for by, status in ((CORSE, 404), (ADMIN, 200)):
        await log_in(organiser, by)
        assert (await organiser.get(f"{path}/historique")).status_code == status


async def test_a_long_history_goes_on_on_another_page(
    organiser: HttpBrowser, an_empty_offer: str, database: Database
) -> None:
    path = await created(organiser, an_empty_offer)
    subject = UUID(path.rsplit("/", 1)[1])
    entries = [
        AuditEntry("compte", Action.CHANGED, subject, number, {"capacity": [number, number + 1]})
        for number in range(2, 42)
    ]
    async with database.transaction() as tx:
        await audit_log.record(tx, entries)

    async def numbers(address: str, way: str) -> tuple[list[int], str]:
        page = (await organiser.get(address)).text
        following = re.search(rf'rel="{way}" href="([^"]+)"', page)
        assert following
        return [int(number) for number in re.findall(r"après : (\d+)", text_of(page))], unescape(following[1])

    first, following = await numbers(f"{path}/historique", "next")
    rest, back = await numbers(following, "prev")
    assert [number for number in first + rest if number > 2] == list(range(42, 2, -1))
    assert (await numbers(back, "next"))[0] == first
    assert (await numbers(f"{path}/historique?apres=x", "next"))[0] == first
