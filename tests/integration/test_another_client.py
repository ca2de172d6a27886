"""Another program at the broker: kcat, from Debian, with the headers and the JSON of the contract."""

import email
import email.policy
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.kafka import missing_tools
from local.readiness import wait_until
from local.stack import Stack, StackOptions
from tests.support.builders import an_agent, enrolment_request

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    lacking = missing_tools() or (None if shutil.which("kcat") else "kcat is not installed")
    if lacking is not None:
        if os.environ.get("CI"):
            pytest.fail(f"kcat and Apache Kafka must be there in CI: {lacking}")
        pytest.skip(f"NOT TESTED with kcat on Apache Kafka: {lacking}")
    directory = tmp_path_factory.mktemp("kcat") / "local"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KAFKA_", "SMTP_")) and not name.endswith("_DATABASE_URL")
    }
    options = StackOptions(broker="kafka", directory=directory, environment=environment)
    with Stack(options, say=lambda _line: None) as running:
        running.load_offer(date(2025, 3, 20).isoformat())
        yield running


def kcat(stack: Stack, *arguments: str, value: bytes = b"") -> str:
    done = subprocess.run(
        ["kcat", "-b", stack.kafka, *arguments], input=value, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def produce(stack: Stack, key: str, value: dict[str, Any], *headers: str) -> None:
    """One record; kcat takes a line for a record, so the JSON has none in it."""
    options = [option for header in headers for option in ("-H", header)]
    kcat(stack, "-P", "-t", "portal.enrolments", "-k", key, *options, value=json.dumps(value).encode())


def decisions_about(stack: Stack, agent_id: str) -> list[dict[str, Any]]:
    lines = kcat(
        stack, "-C", "-t", "enrolment.decisions", "-e", "-q", "-f", r'{"key":"%k","headers":"%h","data":%s}\n'
    ).splitlines()
    return [one for line in lines if (one := json.loads(line))["key"] == agent_id]


def mails_to(stack: Stack, address: str) -> list[email.message.EmailMessage]:
    folder = Path(str(stack.description()["mailbox_dir"]))
    mails = [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in sorted(folder.glob("*.eml"))
    ]
    return [mail for mail in mails if str(mail["To"]).find(address) >= 0]


def a_mooc(stack: Stack) -> str:
    answer = httpx.get(f"{stack.url('catalogue')}/api/v1/sessions", params={"format": "mooc"})
    return str(answer.raise_for_status().json()["items"][0]["session_id"])


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_a_record_of_kcat_is_answered_explained_and_mailed(stack: Stack, mode: str) -> None:
    session_id, request_id = a_mooc(stack), str(uuid.uuid4())
    agent = an_agent(f"kcat-{uuid.uuid4()}", email=f"{request_id}@ville-exemple.fr")
    attributes = {
        "specversion": "1.0",
        "id": request_id,
        "type": "fr.cnfpt.portal.EnrolmentRequested.v1",
        "source": "/portals/kcat",
    }
    data = enrolment_request(session_id, agent)
    if mode == "binary":
        headers = [f"ce_{name}={value}" for name, value in attributes.items()]
        produce(stack, session_id, data, *headers, "content-type=application/json")
    else:
        document = {**attributes, "datacontenttype": "application/json", "data": data}
        produce(stack, session_id, document, "content-type=application/cloudevents+json")

    wait_until(lambda: len(mails_to(stack, agent.email)) > 0, seconds=30, what="a mail")

    [decision] = decisions_about(stack, agent.agent_id)
    assert "ce_type=fr.cnfpt.enrolment.AgentEnrolled.v1" in decision["headers"]
    assert decision["data"]["request_id"] == request_id
    assert decision["data"]["agent"] == agent.model_dump(mode="json")
    told = httpx.get(f"{stack.url('enrolment')}/api/v1/requests/{request_id}").raise_for_status().json()
    assert (told["state"], told["outcome"]) == ("answered", "enrolled")
    [mail] = mails_to(stack, agent.email)
    text = mail.get_body(("plain",))
    assert text is not None
    assert "Bonjour Zoé Durand," in text.get_content()
