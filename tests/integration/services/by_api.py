"""Call every operation of a service's API about one person."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from fastapi.routing import APIRoute

from shared import clock
from shared.events import portal
from shared.messaging.portals.registry import TRIAL_PORTAL
from shared.process import Process
from tests.contract.test_examples import examples_of
from tests.integration.services.cases import CASES, TOKENS, Answers, Case, address_of
from tests.integration.services.composed import browser_on
from tests.support.marking import PERSON, Marks


@dataclass(frozen=True)
class ApiOperation:
    """A method of a route, and what the document of the API says of it."""

    route: APIRoute
    method: str
    described: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{self.method} {self.route.path}"

    @property
    def parameters(self) -> set[str]:
        return {parameter["name"] for parameter in self.described.get("parameters", ())}

    @property
    def content(self) -> dict[str, Any]:
        """The media types of the body."""
        content: dict[str, Any] = self.described.get("requestBody", {}).get("content", {})
        return content


async def call_every_operation(process: Process, marks: Marks) -> Answers:
    """Call each operation that takes a text, about one case after the other until it succeeds."""
    answers: Answers = defaultdict(list)
    async with browser_on(process) as client:
        for operation in operations_of(process):
            async for case in CASES[process.name](process):
                address = address_of(operation.route.path, case)
                if address is not None:
                    for token in TOKENS[process.name]:
                        purpose = marks.new(f"{operation.label} Read-Purpose")
                        client.headers = {"authorization": f"Bearer {token}", "read-purpose": purpose}
                        answers[operation.label] += await call(client, operation, address, case, marks)
                if any(map(is_success, answers[operation.label])):
                    break
    return answers


async def call(
    client: httpx.AsyncClient, operation: ApiOperation, address: str, case: Case, marks: Marks
) -> list[str]:
    parameters = {"agent_id": PERSON.agent_id} if "agent_id" in operation.parameters else {}
    exported = ""
    if "text/csv" in operation.content:
        exported = (await client.get(address.replace("/import", "/export"))).text
    answers = []
    for body in bodies(operation, case, marks, exported):
        answer = await client.request(operation.method, address, params=parameters, **body)
        answers.append(f"{answer.status_code} {answer.text[:300]}")
    return answers


def is_success(answer: str) -> bool:
    """A certificate that is not due was looked for, too."""
    return answer.startswith("2") or "No certificate is due" in answer


def operations_of(process: Process) -> Iterator[ApiOperation]:
    document = process.api.openapi()
    for route in process.api.routes:
        if isinstance(route, APIRoute):
            method = min(route.methods or ())
            described = document["paths"].get(route.path, {}).get(method.lower(), {})
            operation = ApiOperation(route, method, described | {"components": document["components"]})
            if operation.content or {"Read-Purpose", "agent_id"} & operation.parameters:
                yield operation


def bodies(operation: ApiOperation, case: Case, marks: Marks, exported: str) -> Iterator[dict[str, Any]]:
    """Return bodies for the operation, each about the person."""
    if "text/csv" in operation.content:
        for sheet in sheets(exported, operation.label, marks):
            yield {"content": sheet.encode(), "headers": {"content-type": "text/csv"}}
    elif "application/cloudevents+json" in operation.content:
        for event in portal.EVENTS:
            data = marks.document(examples_of(event)[0], event, {"session_id": str(case["session_id"])})
            envelope = {"specversion": "1.0", "id": str(uuid4()), "type": event.TYPE, "data": data}
            envelope |= {"source": f"/portals/{TRIAL_PORTAL}", "time": clock.now().isoformat()}
            kind = {"content-type": "application/cloudevents+json"}
            yield {"content": json.dumps(envelope), "headers": kind}
    elif operation.route.body_field is not None:
        model: Any = operation.route.body_field.field_info.annotation
        known = case | {"issuer": PERSON.issuer, "agent_id": PERSON.agent_id}
        if operation.route.path.endswith("/join"):
            known["enrolment_id"] = case["twin"]
        if operation.route.path == "/api/v1/offers":  # a new one
            del known["offer_id"]
        known = {
            name: value if isinstance(value, list | None) else str(value) for name, value in known.items()
        }
        is_of_agent = not {"enrolment_id", "agent_id"}.isdisjoint(case)
        yield {"json": marks.document(example_of(operation), model, known, is_about_somebody=is_of_agent)}
    else:
        yield {}


def example_of(operation: ApiOperation) -> Any:
    media = operation.content["application/json"]
    name = media["schema"].get("$ref", "").rpartition("/")[2]
    of_schema = operation.described["components"]["schemas"].get(name, {}).get("examples")
    return of_schema[0] if of_schema else next(iter(media["examples"].values()))["value"]


def sheets(exported: str, label: str, marks: Marks) -> Iterator[str]:
    """Return the sheet as it was exported, then with a mark in the last line of each column in turn."""
    yield exported
    heading, *lines = csv.reader(io.StringIO(exported.removeprefix("\ufeff")), delimiter=";")
    for number, name in enumerate(heading if lines else ()):
        changed = [*lines[-1]]
        changed[number] = marks.new(f"{label} {name}")
        written = io.StringIO()
        csv.writer(written, delimiter=";").writerows([heading, *lines[:-1], changed])
        yield written.getvalue()
