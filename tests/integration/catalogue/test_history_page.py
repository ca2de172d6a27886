"""The history of a session as its organiser reads it: each change with who made it, before and after."""

import re
from html import unescape
from uuid import UUID

from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from shared.database import Database
from tests.integration.catalogue.browsing import HttpBrowser, created, log_in, organiser, send
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE

__all__ = ["organiser"]


def text_of(page: str) -> str:
    """What the page says, without its tags."""
    main = page[page.index("<main") : page.index("</main")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


async def test_each_change_is_told_with_who_made_it_and_what_was_there_before(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    seance = {"modules-0-title": "Accueil", "modules-0-starts_at": "", "modules-0-ends_at": ""}
    path = await created(organiser, an_empty_offer, summary="Une journée.")
    assert (await send(organiser, path, capacity="12", venue="Quimper", trainers="Zoé Durand")).is_redirect
    assert (await send(organiser, path, venue="Lannion", trainers="")).is_redirect
    assert (await send(organiser, path, **seance)).status_code == 422
    assert f'href="{path}/historique"' in (await organiser.get(path)).text
    page = text_of((await organiser.get(f"{path}/historique")).text)
    assert f"par {BRETAGNE} Lieu Avant : Quimper → ; après : Lannion" in page
    assert "Formatrices et formateurs Retiré une personne qui n’est plus nommée" in page
    assert "Lieu Avant : Brest → ; après : Quimper" in page
    assert "Places Avant : 30 → ; après : 12" in page
    assert (
        page.index("après : Lannion")
        < page.index("après : Quimper")
        < page.index("Présentation Une journée.")
    )


async def test_a_trainer_who_is_still_named_is_told_by_name(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    await send(organiser, path, trainers="Zoé Durand <zoe.durand@exemple.fr>")
    page = text_of((await organiser.get(f"{path}/historique")).text)
    assert "Formatrices et formateurs Ajouté Zoé Durand" in page
    assert "exemple.fr" not in page


async def test_another_delegation_has_no_history_of_it_and_who_acts_for_all_has(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    await log_in(organiser, CORSE)
    assert (await organiser.get(f"{path}/historique")).status_code == 404
    await log_in(organiser, ADMIN)
    assert (await organiser.get(f"{path}/historique")).status_code == 200


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
    first = (await organiser.get(f"{path}/historique")).text
    assert "Avant : 41 → ; après : 42" in text_of(first)
    assert "Ce qui a été enregistré" not in first
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    rest = (await organiser.get(unescape(following[1]))).text
    assert "Ce qui a été enregistré" in rest
    assert "Avant : 12 → " not in text_of(rest)
    previous = re.search(r'rel="prev" href="([^"]+)"', rest)
    assert previous
    assert text_of((await organiser.get(unescape(previous[1]))).text) == text_of(first)
    assert (await organiser.get(f"{path}/historique?apres=x")).text == first
