"""Nothing of a body is read before the token: whoever has none costs no more than a head."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.types import Message

from services.catalogue import api as catalogue
from services.enrolment.app import compose
from services.enrolment.settings import Settings
from services.notifier import api as notifier
from shared.auth import Tokens
from tests.conftest import settings_of
from tests.support.guards import NOWHERE, a_guard
from tests.unit.notifier.builders import a_renderer

SETTINGS = settings_of("enrolment", "postgresql://x@localhost/x", "x:1")
ENROLMENT: dict[str, Any] = {name.lower(): value for name, value in SETTINGS.items()}
APIS = (
    catalogue.build(NOWHERE, Tokens(), a_guard()),
    compose(Settings(**ENROLMENT)).api,
    notifier.build(NOWHERE, Tokens(), a_guard(), a_renderer()),
)


def operations() -> Iterator[tuple[FastAPI, str, str]]:
    """Those that take a body from who has a token."""
    for api in APIS:
        for path, methods in api.openapi()["paths"].items():
            for method, operation in methods.items():
                if "requestBody" in operation and operation.get("security"):
                    yield api, method.upper(), path


OPERATIONS = list(operations())


@pytest.mark.parametrize(("api", "method", "path"), OPERATIONS, ids=[f"{m} {p}" for _, m, p in OPERATIONS])
async def test_the_token_is_looked_at_before_the_body_is_read(api: FastAPI, method: str, path: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path.replace("{session_id}", str(uuid4())).replace("{", "").replace("}", ""),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"1000")],
        "client": ("192.0.2.1", 1),
    }
    await api(scope, receive, send)
    assert sent[0]["status"] == 401


def test_there_are_such_operations_in_every_service() -> None:
    assert {id(api) for api, _, _ in OPERATIONS} == {id(api) for api in APIS}
    assert len(OPERATIONS) >= 15
