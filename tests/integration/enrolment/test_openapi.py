"""The OpenAPI document tells the truth: whatever is asked by it, no answer is a 5xx or outside of it."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from services.enrolment import desk
from services.enrolment.app import compose
from services.enrolment.rules import Policy, SeatRequest
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database
from tests.conftest import settings_of
from tests.support.builders import an_agent, open_now
from tests.support.serving import serving

SESSION = open_now(approval="selection", organiser="bretagne")
SEAT = SeatRequest(SESSION.session_id, clock.now(), SESSION.session_id, an_agent(), approved=True)
TOKEN = "siege"


def settings_for(url: str, **changes: Any) -> Settings:
    given = {name.lower(): value for name, value in settings_of("enrolment", url, "localhost:1").items()}
    return Settings.model_validate(given | changes)


@pytest.fixture(scope="module")
def served(migrated: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service's HTTP with one session and one candidate, as somebody who may do everything sees it."""
    url = migrated("enrolment")
    tokens = tmp_path_factory.mktemp("openapi") / "tokens.json"
    entry = {"name": TOKEN, "role": "admin", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
    tokens.write_text(json.dumps([entry]))

    @asynccontextmanager
    async def enrolment(_address: str) -> AsyncIterator[object]:
        await _fill(url)
        process = compose(settings_for(url, api_tokens_file=tokens, enrolment_intake_rate="10000/second"))
        yield process.api
        await process.database.close()

    with serving(enrolment) as address:
        yield address


async def _fill(url: str) -> None:
    database = Database(url, application_name="test")
    async with database.transaction() as tx:
        await desk.take_over(tx, {SESSION.session_id: SESSION}, Policy(), clock.now())
        await desk.answer(tx, [SEAT], Policy(), clock.now())
    await database.close()


DOCUMENT = schemathesis.openapi.from_dict(
    compose(settings_for("postgresql://nobody@localhost/nothing")).api.openapi()
)
OPERATIONS = {one.ok().label: one.ok() for one in DOCUMENT.get_all_operations() if isinstance(one, Ok)}


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_answer_is_outside_of_the_document(served: str, label: str) -> None:
    operation = OPERATIONS[label]

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        st.booleans(),
    )
    def ask(case: Case[Any], of_the_session_there_is: bool) -> None:
        if of_the_session_there_is and "session_id" in case.path_parameters:
            case.path_parameters["session_id"] = str(SESSION.session_id)
        case.call_and_validate(
            base_url=served,
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=[
                positive_data_acceptance,  # what is well-formed may still be refused
                negative_data_rejection,  # what was wrong may have been mended above
                ignored_auth,  # which it would try where everybody may look, too
            ],
        )

    ask()
