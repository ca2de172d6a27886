"""Another number of seats, and other dates, on pages that show what follows before it is done."""

import re

import pytest

from shared.database import Database
from shared.events.catalogue import SessionChanged, SessionOpened
from shared.limits import Rate
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    created,
    local,
    organiser,
    send,
    unseen_fields,
    wrong_fields,
)
from tests.integration.catalogue.conftest import EventsOf, kinds, seats_taken

__all__ = ["organiser"]

# All of one instant: a minute that passes between them would put the séance outside of the session.
DATES = {"starts_at": local(40), "ends_at": local(40.3)}
SEANCE = {"modules-0-starts_at": DATES["starts_at"], "modules-0-ends_at": local(40.1)}
CONFIRMED = {"confirmer": "oui"}


@pytest.fixture
async def path(organiser: HttpBrowser, an_empty_offer: str, database: Database) -> str:
    """The page of a session of ten seats, all taken, with seven agents in line."""
    seats = {"capacity": "10", "waiting_list": "automatic", "approval": "employer"}
    path = await created(
        organiser, an_empty_offer, **DATES, **SEANCE, **seats, **{"modules-0-title": "Le matin"}
    )
    assert (await send(organiser, path, f"{path}/publier")).status_code == 303
    await seats_taken(database, path.rsplit("/", 1)[1], 10, waiting=7)
    return path


PLANNING = pytest.mark.parametrize(
    ("page", "wrong", "right"),
    [
        ("places", {"capacity": "beaucoup"}, {"capacity": "14"}),
        ("reporter", {"starts_at": "demain"}, {"starts_at": local(47)}),
    ],
    ids=["seats", "dates"],
)


@PLANNING
async def test_a_change_is_tried_before_it_is_made(
    organiser: HttpBrowser,
    path: str,
    events_of: EventsOf,
    *,
    page: str,
    wrong: dict[str, str],
    right: dict[str, str],
) -> None:
    assert wrong_fields(await send(organiser, f"{path}/{page}", **wrong)) == list(wrong)
    tried = await send(organiser, f"{path}/{page}", **right)
    assert (tried.status_code, kinds(await events_of())[-1]) == (200, SessionOpened)
    done = await organiser.post(f"{path}/{page}", data=unseen_fields(tried.text) | right | CONFIRMED)
    assert (done.headers["location"], kinds(await events_of())[-1]) == (
        f"{path}?fait=modifiee",
        SessionChanged,
    )


@PLANNING
async def test_a_mistake_does_not_make_an_old_form_a_new_one(
    organiser: HttpBrowser, path: str, *, page: str, wrong: dict[str, str], right: dict[str, str]
) -> None:
    opened = unseen_fields((await organiser.get(f"{path}/{page}")).text)
    await send(organiser, path, summary="Une journée.")
    mistaken = await organiser.post(f"{path}/{page}", data=opened | wrong)
    assert mistaken.status_code == 422
    late = await organiser.post(f"{path}/{page}", data=unseen_fields(mistaken.text) | right)
    assert late.status_code == 412


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ({"summary": "Une journée."}, None),
        (SEANCE | {"modules-0-title": "Une matinée"}, None),
        (SEANCE | {"modules-0-title": "Le matin", "modules-0-ends_at": local(40.2)}, "7"),
        ({"join_url": "https://visio.example.org/brest"}, None),
        ({"venue": "Quimper"}, "7"),
    ],
    ids=["presentation", "name of a séance", "end of a séance", "link", "place"],
)
async def test_the_form_of_a_session_shows_a_change_that_reaches_people_before_it_is_done(
    organiser: HttpBrowser, path: str, typed: dict[str, str], number: str | None
) -> None:
    """The link reaches only enrolled agents, and a new presentation nobody."""
    answer = await send(organiser, path, **typed)
    waiting = re.search(r"inscrites, (\d+)\u00a0personnes en attente", answer.text)
    assert answer.status_code == (303 if "summary" in typed or "Une matinée" in typed.values() else 200)
    assert (waiting and waiting[1]) == number


async def test_only_the_change_that_was_seen_is_made(
    organiser: HttpBrowser, path: str, events_of: EventsOf
) -> None:
    typed = {"venue": "Mairie, Quimper", "capacity": "14", "minimum": "3"}
    tried = await send(organiser, path, **typed)
    seen = re.search(r'form="session" name="apercu" value="([^"]+)"', tried.text)
    assert seen
    form = unseen_fields(tried.text) | typed | CONFIRMED | {"apercu": seen[1]}
    assert (await organiser.post(path, data=form | {"capacity": "15"})).status_code == 200
    assert kinds(await events_of())[-1] is SessionOpened
    assert (await organiser.post(path, data=form)).status_code == 303
    changed = (await events_of())[-1]
    assert isinstance(changed, SessionChanged)
    assert (changed.venue, changed.capacity, changed.minimum) == ("Mairie, Quimper", 14, 3)


async def test_a_change_that_is_only_tried_is_not_counted(
    organiser: HttpBrowser, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.catalogue.service.sessions.CHANGES", Rate(1, 3600))
    fields = {"capacity": "11"}
    answers = [await send(organiser, f"{path}/places", **fields | more) for more in ({}, {}, CONFIRMED)]
    answers.append(await send(organiser, f"{path}/places", capacity="13"))
    assert [answer.status_code for answer in answers] == [200, 200, 303, 422]
