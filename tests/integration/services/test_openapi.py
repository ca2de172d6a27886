"""The OpenAPI document is true: no request that it allows gets a 5xx or an answer outside of it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from tests.conftest import opened
from tests.integration.services.composed import compose
from tests.integration.services.filled import FILL, Known
from tests.support.documents import JsonDocument, lacks, wrong_examples
from tests.support.openapi import ask_anything, operations_of
from tests.support.processes import SERVICES
from tests.support.serving import serving

MOST_RIGHTS = {"catalogue": "admin", "enrolment": "admin", "notifier": "support"}
OPEN_TO_ALL = {
    "catalogue": {
        f"/api/v1/{kind}s{part}"
        for kind in ("offer", "session", "resource")
        for part in ("", f"/{{{kind}_id}}")
    },
    "enrolment": set[str](),
    "notifier": set[str](),
}


class ServedApi(NamedTuple):
    service: str
    document: JsonDocument
    address: str
    known: Known


@pytest.fixture(scope="module", params=SERVICES)
def served(
    request: pytest.FixtureRequest,
    new_database: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedApi]:
    """A service's HTTP and document, and the ids of what it has."""
    service: str = request.param
    url = new_database(service)
    tokens = tmp_path_factory.mktemp("openapi") / "tokens.json"
    entry = {"name": "all", "role": MOST_RIGHTS[service], "sha256": hashlib.sha256(b"all").hexdigest()}
    tokens.write_text(json.dumps([entry]))
    known: Known = {}
    documents: list[JsonDocument] = []

    @asynccontextmanager
    async def application(_address: str) -> AsyncIterator[object]:
        async with opened(url) as database:
            known.update(await FILL[service](database))
        rates = {"enrolment_intake_rate": "10000/second"} if service == "enrolment" else {}
        process = compose(service, url, api_tokens_file=tokens, **rates)
        if service == "enrolment":  # nobody waits for an answer that does not come
            ended = asyncio.Event()
            ended.set()
            await process.api.state.watch.run(ended)
        documents.append(process.api.openapi())
        yield process.api
        await process.database.close()

    with serving(application) as address:
        yield ServedApi(service, documents[0], address, known)


@pytest.mark.timeout(600)
def test_no_answer_is_outside_of_the_document(served: ServedApi, subtests: pytest.Subtests) -> None:
    for label, operation in operations_of(served.document).items():
        with subtests.test(label):
            ask_anything(operation, served.address, token="all", known=served.known)


def test_the_document_has_tokens_problems_and_examples(served: ServedApi) -> None:
    assert lacks(served.document, OPEN_TO_ALL[served.service]) == []
    assert wrong_examples(served.document) == []
