"""The API against its own description: whatever is sent, no 5xx, and no answer that is not described."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.catalogue import api, loading
from services.catalogue.offer_files import OFFER
from shared.auth import Tokens
from shared.database import Database
from tests.integration.catalogue.conftest import AS_OF
from tests.support.serving import serving

ADMIN = {"name": "siege", "role": "admin", "delegation": None}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@pytest.fixture(scope="module")
def served(migrated: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A catalogue with the national offer."""
    tokens_file = tmp_path_factory.mktemp("openapi") / "tokens.json"
    tokens_file.write_text(json.dumps([ADMIN | {"sha256": hashlib.sha256(b"siege").hexdigest()}]))
    url = migrated("catalogue")

    @asynccontextmanager
    async def catalogue(_address: str) -> AsyncIterator[object]:
        database = Database(url, application_name="openapi-test")
        await loading.load(database, OFFER, as_of=AS_OF)
        yield api.build(database, Tokens.load(tokens_file))
        await database.close()

    with serving(catalogue) as address:
        yield address


@pytest.fixture(scope="module")
def described(served: str) -> schemathesis.BaseSchema:
    """The description, as the service gives it."""
    return schemathesis.openapi.from_url(f"{served}/openapi.json")


def operations() -> list[str]:
    """``GET /api/v1/offers`` and all the others, read without a database."""
    described = api.build(Database("postgresql://nobody@localhost/nothing", application_name=""), Tokens([]))
    return sorted(
        f"{method.upper()} {path}"
        for path, methods in described.openapi()["paths"].items()
        for method in methods
    )


@pytest.mark.parametrize("operation", operations())
def test_every_answer_is_one_that_the_description_knows(
    described: schemathesis.BaseSchema, operation: str
) -> None:
    # Not by the library's own plugin, which does not know this version of pytest.
    method, path = operation.split(" ", 1)
    cases = described[path][method].as_strategy()

    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def answers(case: Any) -> None:
        case.call_and_validate(headers={"authorization": "Bearer siege"}, checks=CHECKS)

    answers()
