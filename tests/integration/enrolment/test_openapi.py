"""The OpenAPI document tells the truth: whatever is asked by it, no answer is a 5xx or outside of it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.enrolment.app import compose
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import SeatRequest
from services.enrolment.service import requests as service
from services.enrolment.service import sessions
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database
from tests.conftest import settings_of
from tests.support.builders import an_agent, open_now
from tests.support.documents import lacks, wrong_examples
from tests.support.openapi import ask_anything, operations_of
from tests.support.serving import serving

SESSION = open_now(approval="selection", organiser="bretagne")
SEAT = SeatRequest(SESSION.session_id, clock.now(), SESSION.session_id, an_agent(), approved=True)
TOKEN = "siege"


def settings_for(url: str, **changes: Any) -> Settings:
    given = {name.lower(): value for name, value in settings_of("enrolment", url, "localhost:1").items()}
    return Settings.model_validate(given | changes)


@pytest.fixture(scope="module")
def served(new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service's HTTP with one session and one candidate, as somebody who may do everything sees it."""
    url = new_database("enrolment")
    tokens = tmp_path_factory.mktemp("openapi") / "tokens.json"
    entry = {"name": TOKEN, "role": "admin", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
    tokens.write_text(json.dumps([entry]))

    @asynccontextmanager
    async def enrolment(_address: str) -> AsyncIterator[object]:
        await _fill(url)
        process = compose(settings_for(url, api_tokens_file=tokens, enrolment_intake_rate="10000/second"))
        nobody_waits = asyncio.Event()
        nobody_waits.set()
        await process.api.state.watch.run(nobody_waits)
        yield process.api
        await process.database.close()

    with serving(enrolment) as address:
        yield address


async def _fill(url: str) -> None:
    database = Database(url, application_name="test")
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {SESSION.session_id: SESSION}, Policy(), clock.now())
        await service.process(tx, [SEAT], Policy(), clock.now())
    await database.close()


API = compose(settings_for("postgresql://nobody@localhost/nothing")).api
OPERATIONS = operations_of(API)


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_answer_is_outside_of_the_document(served: str, label: str) -> None:
    ask_anything(OPERATIONS[label], served, token=TOKEN, known={"session_id": str(SESSION.session_id)})


def test_the_document_tells_of_tokens_problems_and_examples() -> None:
    document = API.openapi()
    public: set[str] = set()
    assert lacks(document, public) == []
    assert wrong_examples(document) == []
