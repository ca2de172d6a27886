"""The OpenAPI document is true: no request that it allows gets a 5xx or an answer outside of it."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from services.catalogue import api
from services.catalogue.rules.offers import loaded_resource_id, loaded_session_id
from shared.auth import Tokens
from shared.database import Database
from tests.integration.catalogue.conftest import AS_OF
from tests.support.catalogue import load
from tests.support.documents import lacks, wrong_examples
from tests.support.guards import NOWHERE, a_guard
from tests.support.openapi import ask_anything, operations_of
from tests.support.serving import serving

ADMIN = {"name": "siege", "role": "admin", "delegation": None}
KNOWN = {
    "session_id": str(loaded_session_id("ia-et-territoires", "rennes")),
    "resource_id": str(loaded_resource_id("dossier-usage-responsable")),
}
API = api.build(NOWHERE, Tokens(), a_guard())
OPERATIONS = operations_of(API)


@pytest.fixture(scope="module")
def served(new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A catalogue with the national offer."""
    tokens_file = tmp_path_factory.mktemp("openapi") / "tokens.json"
    tokens_file.write_text(json.dumps([ADMIN | {"sha256": hashlib.sha256(b"siege").hexdigest()}]))
    url = new_database("catalogue")

    @asynccontextmanager
    async def catalogue(_address: str) -> AsyncIterator[object]:
        database = Database(url, application_name="openapi-test")
        await load(database, as_of=AS_OF)
        yield api.build(database, Tokens(tokens_file), a_guard(database))
        await database.close()

    with serving(catalogue) as address:
        yield address


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_answer_is_outside_of_the_document(served: str, label: str) -> None:
    ask_anything(OPERATIONS[label], served, token="siege", known=KNOWN)


def test_the_document_tells_of_tokens_problems_and_examples() -> None:
    document = API.openapi()
    public: set[str] = {
        "/api/v1/offers",
        "/api/v1/offers/{offer_id}",
        "/api/v1/sessions",
        "/api/v1/sessions/{session_id}",
        "/api/v1/resources",
        "/api/v1/resources/{resource_id}",
    }
    assert lacks(document, public) == []
    assert wrong_examples(document) == []
