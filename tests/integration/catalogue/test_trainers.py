"""Who speaks or teaches in a session: named to everybody, written to by their organiser alone."""

from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text

from services.catalogue.app import eraser
from services.catalogue.personal_data import TRAINERS
from shared.database import Database
from shared.events.catalogue import SessionChanged, SessionState, SessionTrainersChanged
from shared.messaging.portals.registry import PortalsFile
from shared.personal_data import end_rows
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, created, organiser, send
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE, EventsOf, drafted, in_days, published

__all__ = ["organiser"]

ZOE = {"name": "Zoé Durand", "email": "zoe.durand@exemple.fr"}
ADA = {"name": "Ada Martin", "email": "ada@exemple.fr"}
LEO = {"name": "Léo Petit", "email": None}


async def with_trainers(ask: Ask, session_id: str, *trainers: dict[str, Any]) -> list[dict[str, Any]]:
    """Name these, and return them as their organiser sees them."""
    answer = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, trainers=trainers)
    assert answer.is_success, answer.text
    named: list[dict[str, Any]] = answer.json()["trainers"]
    return named


async def test_the_address_of_a_trainer_is_for_the_organiser_alone_and_their_name_for_all(
    ask: Ask, an_empty_offer: str, visit: httpx.AsyncClient
) -> None:
    session_id = await published(ask, an_empty_offer, trainers=[ZOE, LEO])
    for who, address in ((None, None), (CORSE, None), (BRETAGNE, ZOE["email"]), (ADMIN, ZOE["email"])):
        alone = (await ask("GET", f"/sessions/{session_id}", by=who)).json()
        (listed,) = (await ask("GET", "/sessions", by=who)).json()["items"]
        for shown in (alone, listed):
            named = [(trainer["name"], trainer["email"]) for trainer in shown["trainers"]]
            assert named == [(ZOE["name"], address), (LEO["name"], None)], who
        history = await ask("GET", f"/sessions/{session_id}/history", by=who)
        assert not any(str(named) in history.text for named in (ZOE["name"], ZOE["email"])), who
    page = (await visit.get(f"/sessions/{session_id}")).text
    assert "Zoé Durand" in page
    assert "@exemple.fr" not in page


async def test_the_page_has_each_speaker_once(
    ask: Ask, an_empty_offer: str, visit: httpx.AsyncClient
) -> None:
    session_id = await published(ask, an_empty_offer, experts=["Zoé Durand", "Un élu"], trainers=[LEO, ZOE])
    page = (await visit.get(f"/sessions/{session_id}")).text
    assert "<dd>Zoé Durand\u00a0; Un élu\u00a0; Léo Petit</dd>" in page


async def test_other_services_hear_of_trainers_by_id_alone(
    ask: Ask, an_empty_offer: str, events_of: EventsOf
) -> None:
    session_id = await published(ask, an_empty_offer)
    (named,) = await with_trainers(ask, session_id, ZOE)
    states = [event for event in await events_of() if isinstance(event, SessionState)]
    assert isinstance(states[-1], SessionChanged)
    assert [str(trainer_id) for trainer_id in states[-1].trainer_ids] == [named["trainer_id"]]
    assert "Durand" not in states[-1].model_dump_json()
    assert [state.trainer_ids for state in states[:-1]] == [(), ()]


async def test_their_names_are_told_when_a_session_is_published_and_with_each_change_of_it(
    ask: Ask, an_empty_offer: str, events_of: EventsOf
) -> None:
    async def published_events() -> list[tuple[int, list[str]]]:
        lists = [event for event in await events_of() if isinstance(event, SessionTrainersChanged)]
        return [(event.session_version, [trainer.name for trainer in event.trainers]) for event in lists]

    draft = await drafted(ask, an_empty_offer, trainers=[ZOE])
    path = f"/sessions/{draft['session_id']}"
    await ask("PATCH", path, by=BRETAGNE, trainers=[ZOE, LEO])
    assert await published_events() == [], "a draft is nobody else's"
    await ask("POST", f"{path}/publish", by=BRETAGNE)
    await ask("PATCH", path, by=BRETAGNE, capacity=12)
    await ask("PATCH", path, by=BRETAGNE, trainers=[])
    await ask("PATCH", path, by=BRETAGNE, capacity=13)
    both = [ZOE["name"], LEO["name"]]
    assert await published_events() == [(3, both), (5, both), (6, [])]


async def test_the_calendar_of_all_sessions_names_who_speaks(
    ask: Ask, an_empty_offer: str, visit: httpx.AsyncClient
) -> None:
    session_id = await published(ask, an_empty_offer, experts=["Un élu"], trainers=[ZOE])
    for address in ("/agenda.ics", f"/sessions/{session_id}.ics"):
        calendar = (await visit.get(address)).text.replace("\r\n ", "")
        assert "Intervention\u00a0: Un élu et Zoé Durand." in calendar
        assert "@exemple.fr" not in calendar


async def test_who_stays_is_the_same_trainer_and_another_address_is_another_one(
    ask: Ask, an_empty_offer: str
) -> None:
    session_id = await published(ask, an_empty_offer, trainers=[ZOE, LEO])
    zoe, leo = (await ask("GET", f"/sessions/{session_id}", by=BRETAGNE)).json()["trainers"]
    renamed = {"name": "Zoé Durand-Petit", "email": "Zoe.Durand@exemple.fr"}
    again = await with_trainers(ask, session_id, LEO, renamed, ADA)
    assert [known["trainer_id"] for known in again[:2]] == [leo["trainer_id"], zoe["trainer_id"]]
    moved = await with_trainers(ask, session_id, {**ZOE, "email": "zoe@ailleurs.fr"}, {**LEO, **ADA})
    assert moved[0]["trainer_id"] != zoe["trainer_id"]
    assert moved[1]["trainer_id"] == again[2]["trainer_id"]
    # What is said of something else leaves them.
    await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, capacity=12)
    assert (await ask("GET", f"/sessions/{session_id}", by=BRETAGNE)).json()["trainers"] == moved


async def test_nobody_is_a_trainer_twice_and_no_session_has_more_than_twenty(
    ask: Ask, an_empty_offer: str
) -> None:
    session_id = await published(ask, an_empty_offer)
    many = [{"name": f"Personne {'abcdefghijklmnopqrstu'[number]}"} for number in range(21)]
    for trainers in (
        [ZOE, {**ADA, "email": "ZOE.DURAND@exemple.fr"}],
        [LEO, LEO],
        many,
        [{"name": "zoe@exemple.fr"}],
        None,
    ):
        answer = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, trainers=trainers)
        assert answer.status_code == 422, trainers


async def test_a_copy_has_the_same_trainers_under_ids_of_its_own(ask: Ask, an_empty_offer: str) -> None:
    session_id = await published(ask, an_empty_offer, trainers=[ZOE])
    path = f"/sessions/{session_id}"
    (zoe,) = (await ask("GET", path, by=BRETAGNE)).json()["trainers"]
    copied = await ask("POST", f"{path}/duplicate", by=BRETAGNE, starts_at=in_days(90).isoformat())
    (copy,) = copied.json()["trainers"]
    assert (copy["name"], copy["email"]) == (zoe["name"], zoe["email"])
    assert copy["trainer_id"] != zoe["trainer_id"]


async def test_trainers_are_named_in_the_form_a_person_a_line(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    lines = "Zoé Durand <zoe.durand@exemple.fr>\r\n\r\n Léo Petit "
    path = await created(organiser, an_empty_offer, trainers=lines)
    shown = (await ask("GET", path.removeprefix("/gestion"), by=BRETAGNE)).json()["trainers"]
    assert [(trainer["name"], trainer["email"]) for trainer in shown] == [
        tuple(ZOE.values()),
        tuple(LEO.values()),
    ]
    assert "Zoé Durand &lt;zoe.durand@exemple.fr&gt;\nLéo Petit" in (await organiser.get(path)).text
    wrong = await send(organiser, path, trainers="Zoé Durand <zoe>")
    assert wrong.status_code == 422
    assert "Indiquez une personne par ligne" in wrong.text
    assert (await send(organiser, path, trainers="")).status_code == 303
    assert (await ask("GET", path.removeprefix("/gestion"), by=BRETAGNE)).json()["trainers"] == []


async def test_whoever_is_forgotten_is_a_trainer_no_more_and_other_services_hear_it(
    ask: Ask, an_empty_offer: str, database: Database, portals: PortalsFile
) -> None:
    session_id = await published(ask, an_empty_offer, trainers=[ZOE, ADA])
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now()"))
        kept = await eraser(database, portals).export(tx, "zoe.durand@exemple.fr")
    assert [row["name"] for row in kept["trainer"]] == ["Zoé Durand"]

    assert await eraser(database, portals).forget("zoe.durand@exemple.fr", uuid4())

    async with database.quiet_transaction() as tx:
        assert list(await tx.scalars(text("SELECT name FROM trainer"))) == ["Ada Martin"]
    (ada,) = (await ask("GET", f"/sessions/{session_id}")).json()["trainers"]
    async with database.quiet_transaction() as tx:
        published_events = list(
            await tx.scalars(text("SELECT data FROM outbox WHERE data <> '{}' ORDER BY id"))
        )
    assert not any("zoe.durand" in data for data in published_events)
    changed = SessionChanged.model_validate_json(published_events[-3])
    assert [str(trainer_id) for trainer_id in changed.trainer_ids] == [ada["trainer_id"]]
    named = SessionTrainersChanged.model_validate_json(published_events[-2])
    assert [trainer.name for trainer in named.trainers] == ["Ada Martin"]


async def test_trainers_are_kept_ninety_days_after_the_end(
    ask: Ask, an_empty_offer: str, database: Database
) -> None:
    await published(
        ask,
        an_empty_offer,
        trainers=[ZOE],
        ends_at=in_days(31).isoformat(),
        starts_at=in_days(30).isoformat(),
    )
    async with database.transaction() as tx:
        assert await end_rows(tx, TRAINERS, 90, in_days(31 + 89)) == 0
        assert await end_rows(tx, TRAINERS, 90, in_days(31 + 91)) == 1
