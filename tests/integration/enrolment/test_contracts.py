"""The contracts of portals are read by HTTP, by anybody, at addresses that stay."""

import json

from shared.events import portal
from shared.events.documents import FOLDER
from shared.events.index import ANSWERS
from tests.conftest import Ask
from tests.integration.enrolment.conftest import problem


async def test_the_document_of_portals_is_the_stored_one_without_its_examples(ask: Ask) -> None:
    stored = json.loads((FOLDER / "portal.json").read_text())
    for message in stored["components"]["messages"].values():
        assert message.pop("examples")

    assert (await ask("GET", "/asyncapi/portal")).json() == stored


async def test_each_event_that_portals_send_or_hear_has_its_stored_schema(ask: Ask) -> None:
    for event in (*portal.EVENTS, *ANSWERS):
        given = await ask("GET", f"/schemas/{event.TYPE}.json")

        assert given.json() == json.loads((FOLDER / "schemas" / f"{event.TYPE}.json").read_text())


async def test_events_between_services_have_no_address_there(ask: Ask) -> None:
    assert not problem(await ask("GET", "/schemas/fr.cnfpt.catalogue.SessionOpened.v1.json"), 404)


async def test_an_address_of_any_length_is_not_repeated_whole(ask: Ask) -> None:
    answer = await ask("GET", f"/schemas/{'x' * 5_000}.json")
    problem(answer, 404)
    assert len(answer.json()["detail"]) < 150
