"""A service checks the token before it reads the body."""

from uuid import uuid4

import pytest
from starlette.types import Message

from tests.support.apis import apis


@pytest.mark.parametrize("service", ["catalogue", "enrolment", "notifier"])
async def test_the_token_is_checked_before_the_body_is_read(service: str, subtests: pytest.Subtests) -> None:
    api = apis()[service]
    operations = [
        (method.upper(), path)
        for path, methods in api.openapi()["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation and operation.get("security")
    ]
    assert len(operations) >= 2
    for method, path in operations:
        with subtests.test(f"{method} {path}"):
            sent: list[Message] = []

            async def receive() -> Message:
                raise AssertionError("the body was read")

            async def send(message: Message, sent: list[Message] = sent) -> None:
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
