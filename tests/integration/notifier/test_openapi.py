"""Whatever request the OpenAPI document allows, the answer is one that it has, and no 5xx."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.notifier.app import compose
from services.notifier.settings import Settings
from shared.database import Database
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from tests.conftest import settings_of
from tests.integration.notifier.conftest import Notifier
from tests.support.documents import lacks, wrong_examples
from tests.support.openapi import ask_anything, operations_of
from tests.support.serving import serving
from tests.support.smtp import ScriptedRelay
from tests.unit.notifier.builders import a_decision, a_session

TOKEN = "assistance"


def settings_for(url: str, **changes: Any) -> Settings:
    given = {name.lower(): value for name, value in settings_of("notifier", url, "localhost:1").items()}
    return Settings.model_validate(given | changes)


def a_token(folder: Path) -> Path:
    """The file of one token, of support staff."""
    file = folder / "tokens.json"
    entry = {"name": TOKEN, "role": "support", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
    file.write_text(json.dumps([entry]))
    return file


async def one_mail(url: str) -> str:
    """The id of a mail that waits."""
    database = Database(url, application_name="test")
    notifier = Notifier(database, ScriptedRelay())
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    mail_id = str((await notifier.row()).mail_id)
    await database.close()
    return mail_id


@pytest.fixture(scope="module")
def served(
    new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The address of the service's HTTP, and the one mail that it has."""
    url = new_database("notifier")
    mail_id = asyncio.run(one_mail(url))

    @asynccontextmanager
    async def notifier(_address: str) -> AsyncIterator[object]:
        tokens = a_token(tmp_path_factory.mktemp("openapi"))
        process = compose(settings_for(url, api_tokens_file=tokens))
        yield process.api
        await process.database.close()

    with serving(notifier) as address:
        yield address, mail_id


API = compose(settings_for("postgresql://nobody@localhost/nothing")).api
OPERATIONS = operations_of(API)


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_answer_is_outside_of_the_document(served: tuple[str, str], label: str) -> None:
    address, mail_id = served
    ask_anything(OPERATIONS[label], address, token=TOKEN, known={"mail_id": mail_id})


def test_the_document_tells_of_tokens_problems_and_examples() -> None:
    document = API.openapi()
    public: set[str] = set()
    assert lacks(document, public) == []
    assert wrong_examples(document) == []
