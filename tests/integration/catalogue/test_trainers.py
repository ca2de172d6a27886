"""Speakers and teachers of a session: named to everybody, written to by their organiser alone."""

from typing import Any
from uuid import uuid4

from sqlalchemy import text

from services.catalogue.app import eraser
from services.catalogue.personal_data import TRAINERS
from shared.database import Database
from shared.events.catalogue import SessionChanged, SessionState, SessionTrainersChanged
from shared.messaging.portals.registry import PortalsFile
from shared.personal_data import end_rows
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    EventsOf,
    change,
    drafted,
    in_days,
    listed,
    published,
    shown,
)

ZOE = {"name": "Zoé Durand", "email": "zoe.durand@exemple.fr"}
ADA = {"name": "Ada Martin", "email": "ada@exemple.fr"}
LEO = {"name": "Léo Petit", "email": None}


async def test_the_address_of_a_trainer_is_for_the_organiser_alone_and_the_name_for_all(
    ask: Ask, an_empty_offer: str
) -> None:
    path = f"/sessions/{await published(ask, an_empty_offer, trainers=[ZOE, LEO])}"
    for by in (None, CORSE, BRETAGNE, ADMIN):
        address = ZOE["email"] if by in (BRETAGNE, ADMIN) else None
        for session in (await shown(ask, path, by=by), *await listed(ask, by=by)):
            named = [(trainer["name"], trainer["email"]) for trainer in session["trainers"]]
            assert named == [(ZOE["name"], address), (LEO["name"], None)], by
        history = (await ask("GET", f"{path}/history", by=by)).text
        assert not any(str(word) in history for word in ZOE.values()), by


async def test_pages_and_calendars_name_each_speaker_once_and_no_address(
    ask: Ask, an_empty_offer: str, visit: HttpBrowser
) -> None:
    people: dict[str, Any] = {"experts": ["Zoé Durand", "Un élu"], "trainers": [LEO, ZOE]}
    session_id = await published(ask, an_empty_offer, **people)
    for path, said in (
        (f"/sessions/{session_id}", "<dd>Zoé Durand\u00a0; Un élu\u00a0; Léo Petit</dd>"),
        (f"/sessions/{session_id}.ics", "Zoé Durand"),
        ("/agenda.ics", "Intervention\u00a0: Zoé Durand"),
    ):
        page = (await visit.get(path)).text.replace("\r\n ", "")
        assert (page.count(said), "@exemple.fr" in page) == (1, False), path


async def test_events_have_trainers_by_id_and_their_names_apart_once_it_is_published(
    ask: Ask, an_empty_offer: str, events_of: EventsOf
) -> None:
    session_id = (await drafted(ask, an_empty_offer, trainers=[ZOE]))["session_id"]
    await change(ask, session_id, trainers=[ZOE, LEO])
    assert await events_of() == [], "nobody else knows a draft"
    await ask("POST", f"/sessions/{session_id}/publish", by=BRETAGNE)
    both = [trainer["trainer_id"] for trainer in (await change(ask, session_id, capacity=12))["trainers"]]
    await change(ask, session_id, trainers=[])
    await change(ask, session_id, capacity=13)
    events = await events_of()
    lists = [event for event in events if isinstance(event, SessionTrainersChanged)]
    assert [(event.session_version, [trainer.name for trainer in event.trainers]) for event in lists] == [
        *((version, [ZOE["name"], LEO["name"]]) for version in (3, 5)),
        (6, []),
    ]
    states = [event for event in events if isinstance(event, SessionState)]
    ids = [[str(trainer_id) for trainer_id in state.trainer_ids] for state in states]
    assert ids == [both, both, both, [], []]
    assert not any("Durand" in state.model_dump_json() for state in states)


async def test_a_trainer_with_the_same_address_or_name_stays_and_another_address_is_another_trainer(
    ask: Ask, session_id: str
) -> None:

    async def ids(*trainers: dict[str, Any]) -> list[str]:
        return [
            known["trainer_id"] for known in (await change(ask, session_id, trainers=trainers))["trainers"]
        ]

    zoe, leo = await ids(ZOE, LEO)
    renamed = {"name": "Zoé Durand-Petit", "email": "Zoe.Durand@exemple.fr"}
    same_leo, same_zoe, ada = await ids(LEO, renamed, ADA)
    assert (same_leo, same_zoe) == (leo, zoe)
    moved, same_ada = await ids({**ZOE, "email": "zoe@ailleurs.fr"}, {**LEO, **ADA})
    assert (moved != zoe, same_ada) == (True, ada)


REFUSED: dict[str, list[dict[str, Any]] | None] = {
    "an address twice": [ZOE, {**ADA, "email": "ZOE.DURAND@exemple.fr"}],
    "a name twice": [LEO, LEO],
    "twenty-one": [{"name": f"Personne {letter}"} for letter in "abcdefghijklmnopqrstu"],
    "an address as a name": [{"name": "zoe@exemple.fr"}],
    "null": None,
}


async def test_a_list_of_trainers_is_refused(ask: Ask, session_id: str) -> None:
    for fault, trainers in REFUSED.items():
        refused = await ask("PATCH", f"/sessions/{session_id}", by=BRETAGNE, trainers=trainers)
        assert refused.status_code == 422, fault


async def test_a_person_who_is_forgotten_is_a_trainer_no_more_and_other_services_hear_it(
    ask: Ask, an_empty_offer: str, database: Database, portals: PortalsFile
) -> None:
    session_id = await published(ask, an_empty_offer, trainers=[ZOE, ADA])
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now()"))
        kept = await eraser(database, portals).export(tx, "zoe.durand@exemple.fr")
    assert [row["name"] for row in kept["trainer"]] == ["Zoé Durand"]

    assert await eraser(database, portals).forget("zoe.durand@exemple.fr", uuid4())

    (ada,) = (await shown(ask, f"/sessions/{session_id}"))["trainers"]
    async with database.quiet_transaction() as tx:
        assert list(await tx.scalars(text("SELECT name FROM trainer"))) == ["Ada Martin"]
        events = list(await tx.scalars(text("SELECT data FROM outbox WHERE data <> '{}' ORDER BY id")))
    assert not any("zoe.durand" in data for data in events)
    changed = SessionChanged.model_validate_json(events[-3])
    assert [str(trainer_id) for trainer_id in changed.trainer_ids] == [ada["trainer_id"]]
    named = SessionTrainersChanged.model_validate_json(events[-2])
    assert [trainer.name for trainer in named.trainers] == ["Ada Martin"]


async def test_trainers_are_kept_ninety_days_after_the_end(
    ask: Ask, an_empty_offer: str, database: Database
) -> None:
    dates = {"starts_at": in_days(30).isoformat(), "ends_at": in_days(31).isoformat()}
    await published(ask, an_empty_offer, trainers=[ZOE], **dates)
    async with database.transaction() as tx:
        assert await end_rows(tx, TRAINERS, 90, in_days(31 + 89)) == 0
        assert await end_rows(tx, TRAINERS, 90, in_days(31 + 91)) == 1
