"""Another number of seats, and other dates, on pages that show what follows before it is done."""

import re
from uuid import UUID

import pytest

from services.catalogue.handlers import router
from shared.database import Database
from shared.events.catalogue import SessionChanged, SessionState
from shared.events.enrolment import SessionOccupancyChanged
from shared.limits import Rate
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    a_form,
    created,
    hidden,
    organiser,
    send,
)
from tests.integration.catalogue.conftest import EventsOf, in_days
from tests.support.consuming import received, take

__all__ = ["organiser"]


async def published_session(organiser: HttpBrowser, offer: str, **fields: str) -> str:
    path = await created(organiser, offer, capacity="10", **fields)
    assert (await send(organiser, path, f"{path}/publier")).status_code == 303
    return path


async def fill(database: Database, path: str, enrolled: int, waiting: int) -> None:
    event = SessionOccupancyChanged(
        session_id=UUID(path.rsplit("/", 1)[1]),
        version=1,
        capacity=10,
        enrolled=enrolled,
        waiting=waiting,
        offered=0,
    )
    await take(router, database, [received(event)])


async def test_more_seats_are_tried_then_given(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf, catalogue_database: Database
) -> None:
    path = await published_session(organiser, an_empty_offer, waiting_list="automatic")
    await fill(catalogue_database, path, 10, 7)
    tried = await send(organiser, f"{path}/places", capacity="14")
    said = tried.text.replace("\u00a0", " ")
    assert "4 personnes en attente, au plus, recevront une place" in said
    assert "3 personnes restent en attente." in said
    assert [type(event) for event in await events_of()][-1] is not SessionChanged
    form = {name: hidden(tried.text, name) for name in ("cle", "version")}
    done = await organiser.post(f"{path}/places", data=form | {"capacity": "14", "confirmer": "oui"})
    assert done.headers["location"] == f"{path}?fait=modifiee"
    changed = (await events_of())[-1]
    assert isinstance(changed, SessionChanged)
    assert changed.capacity == 14


async def test_the_large_form_shows_what_reaches_people_before_it_is_done_as_well(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf, catalogue_database: Database
) -> None:
    path = await published_session(organiser, an_empty_offer, waiting_list="automatic")
    await fill(catalogue_database, path, 10, 7)
    typed = {"venue": "Mairie, Quimper", "capacity": "14", "minimum": "3"}
    tried = await send(organiser, path, **typed)
    said = tried.text.replace("\u00a0", " ")
    assert "10 personnes inscrites, 7 personnes en attente" in said
    assert "4 personnes en attente, au plus, recevront une place" in said
    named = re.search(r"Ce qui change : ([^.]+)\.", said)
    assert named
    assert set(re.split(", | et ", named[1])) == {"lieu", "places", "minimum"}
    assert 'value="Mairie, Quimper"' in said
    assert [type(event) for event in await events_of()][-1] is not SessionChanged
    marks = {name: hidden(tried.text, name) for name in ("cle", "version")}
    seen = re.search(r'form="session" name="apercu" value="([^"]+)"', tried.text)
    assert seen
    marks |= {"apercu": seen[1], "confirmer": "oui"}
    other = await organiser.post(path, data=marks | typed | {"capacity": "15"})
    assert "5 personnes en attente" in other.text.replace("\u00a0", " "), "it is not what was seen"
    done = await organiser.post(path, data=marks | typed)
    assert done.headers["location"] == f"{path}?fait=modifiee"
    changed = (await events_of())[-1]
    assert isinstance(changed, SessionChanged)
    assert (changed.venue, changed.capacity, changed.minimum) == ("Mairie, Quimper", 14, 3)
    assert (await send(organiser, path, summary="Une journée.")).status_code == 303, "nobody is told of it"


async def test_another_link_is_told_to_who_is_enrolled_and_to_nobody_who_waits(
    organiser: HttpBrowser, an_empty_offer: str, catalogue_database: Database
) -> None:
    path = await published_session(organiser, an_empty_offer, waiting_list="automatic", approval="employer")
    await fill(catalogue_database, path, 10, 7)
    link = {"join_url": "https://visio.example.org/brest"}
    said = (await send(organiser, path, **link)).text.replace("\u00a0", " ")
    assert "est annoncé par courriel aux personnes inscrites : 10 personnes." in said
    assert "10 personnes inscrites, 7 personnes en attente" not in said
    assert "dont la demande attend un accord" not in said
    with_place = (await send(organiser, path, **link, venue="Mairie, Quimper")).text.replace("\u00a0", " ")
    assert "10 personnes inscrites, 7 personnes en attente" in with_place
    assert "dont la demande attend un accord" in with_place


async def test_a_seance_that_is_only_renamed_is_told_to_nobody(
    organiser: HttpBrowser, an_empty_offer: str, catalogue_database: Database
) -> None:
    form = a_form(an_empty_offer)
    dates = {f"modules-0-{name}": form[name] for name in ("starts_at", "ends_at")}
    path = await published_session(organiser, an_empty_offer, **dates | {"modules-0-title": "Le matin"})
    await fill(catalogue_database, path, 10, 7)
    renamed = await send(organiser, path, **dates | {"modules-0-title": "Une matinée"})
    assert renamed.headers.get("location") == f"{path}?fait=modifiee", "it is not asked whether to tell it"
    dates["modules-0-ends_at"] = in_days(40.1).strftime("%Y-%m-%dT%H:%M")
    moved = await send(organiser, path, **dates | {"modules-0-title": "Une matinée"})
    assert "10 personnes inscrites" in moved.text.replace("\u00a0", " ")


async def test_what_is_only_tried_is_not_counted_as_a_change(
    organiser: HttpBrowser, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.catalogue.service.sessions.CHANGES", Rate(1, 3600))
    path = await published_session(organiser, an_empty_offer)
    assert (await send(organiser, f"{path}/places", capacity="11")).status_code == 200
    tried = await send(organiser, f"{path}/places", capacity="12")
    form = {name: hidden(tried.text, name) for name in ("cle", "version")}
    done = await organiser.post(f"{path}/places", data=form | {"capacity": "12", "confirmer": "oui"})
    assert done.status_code == 303
    once_more = await send(organiser, f"{path}/places", capacity="13")
    assert "modifiée" in once_more.text
    assert once_more.status_code == 422


async def test_a_wrong_number_of_a_session_without_limit_leaves_the_box_as_it_was_sent(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer, illimite="oui")
    assert (await organiser.get(f"{path}/places")).text.count("checked") == 1
    wrong = await send(organiser, f"{path}/places", capacity="beaucoup")
    assert wrong.status_code == 422
    assert "checked" not in wrong.text


async def test_a_session_is_postponed_with_all_that_is_to_come(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await published_session(organiser, an_empty_offer)
    before = (await events_of())[-1]
    assert isinstance(before, SessionState)
    later = in_days(47).strftime("%Y-%m-%dT%H:%M")
    tried = await send(organiser, f"{path}/reporter", starts_at=later)
    assert "Clôture des inscriptions" in tried.text
    assert "pas de changement" in tried.text  # enrolment has opened
    form = {name: hidden(tried.text, name) for name in ("cle", "version")}
    done = await organiser.post(f"{path}/reporter", data=form | {"starts_at": later, "confirmer": "oui"})
    assert done.status_code == 303
    changed = (await events_of())[-1]
    assert isinstance(changed, SessionChanged)
    assert changed.starts_at - before.starts_at == changed.ends_at - before.ends_at
    assert (changed.starts_at - before.starts_at).days in (6, 7)
    assert changed.enrolment_closes_at > before.enrolment_closes_at
    assert changed.enrolment_opens_at == before.enrolment_opens_at


@pytest.mark.parametrize("typed", ["0001-02-01T10:00", "9999-12-30T10:00"])
async def test_a_new_session_like_another_does_not_begin_with_a_start_that_cannot_be(
    organiser: HttpBrowser, an_empty_offer: str, typed: str
) -> None:
    path = await created(organiser, an_empty_offer)
    query = {"depuis": path.rsplit("/", 1)[1], "debut": typed}
    page = await organiser.get("/gestion/sessions/nouvelle", params=query)
    assert page.status_code == 200
    assert typed not in page.text


@pytest.mark.parametrize(
    ("page", "wrong", "right"),
    [
        ("places", {"capacity": "beaucoup"}, {"capacity": "14"}),
        ("reporter", {"starts_at": "demain"}, {"starts_at": in_days(47).strftime("%Y-%m-%dT%H:%M")}),
    ],
)
async def test_a_mistake_does_not_make_an_old_form_a_new_one(
    organiser: HttpBrowser, an_empty_offer: str, page: str, wrong: dict[str, str], right: dict[str, str]
) -> None:
    path = await published_session(organiser, an_empty_offer)
    opened = (await organiser.get(f"{path}/{page}")).text
    form = {name: hidden(opened, name) for name in ("cle", "version")}
    await send(organiser, path, venue="Quimper")
    mistaken = await organiser.post(f"{path}/{page}", data=form | wrong)
    assert mistaken.status_code == 422
    form = {name: hidden(mistaken.text, name) for name in ("cle", "version")}
    assert (await organiser.post(f"{path}/{page}", data=form | right)).status_code == 412
