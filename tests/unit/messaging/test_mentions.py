"""Whether a record names an agent, whatever it holds."""

import json
from typing import Any

import pytest

from shared import clock
from shared.events.cloudevents import Record
from shared.events.vocabulary import AgentKey
from shared.messaging.mentions import mentions, without_others

AGENT = AgentKey("iel", "A-1")
ADDRESSES = frozenset({"zoe@exemple.fr"})


def record(value: Any, topic: str = "portal.enrolments", key: bytes | None = b"A-1") -> Record:
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record(topic, 0, 0, key, raw, (), clock.now())


@pytest.mark.parametrize(
    ("value", "issuer"),
    [
        ({"agent_id": "A-1"}, "iel"),
        ({"agent_id": "A-1"}, None),
        ({"agent": {"agent_id": "A-1", "issuer": "ouest"}}, "iel"),  # the sender's issuer counts
        ({"agent": {"agent_id": "A-1", "issuer": "iel"}}, None),
        ({"agents": [{"agent_id": "B"}, {"agent_id": "A-1"}]}, "iel"),
        (b'{"agent_id": "\\u0041-1"}', "iel"),
        ({"requested_by": {"email": " Zoe@Exemple.FR "}}, "ouest"),
        (b'{"agent_id": "A-1", broken', "iel"),
        (b'{"agent_id": "A-1", broken', None),
        (b"mail ZOE@exemple.fr of nobody's", "ouest"),
        (b"[" * 100_000 + b'"A-1"', "iel"),
        (b"no JSON", "iel"),  # its key says who
    ],
)
def test_a_record_that_names_the_agent(value: Any, issuer: str | None) -> None:
    assert mentions(record(value), AGENT, ADDRESSES, issuer)


@pytest.mark.parametrize(
    ("value", "issuer"),
    [
        ({"agent_id": "A-1"}, "ouest"),
        ({"agent": {"agent_id": "A-1", "issuer": "ouest"}}, None),
        ({"agent_id": "A-12"}, "iel"),
        ({"reason": "A-1"}, "iel"),
        ({"email": "autre.zoe@exemple.fr"}, "iel"),
        ({"agent_id": "B-1", "email": "zoe@exemple.fr"}, "iel"),  # one mailbox for both
        (b'{"agent_id": "A-1", broken', "ouest"),
        ([], "iel"),
        (None, "iel"),
    ],
)
def test_a_record_that_names_somebody_else_or_nobody(value: Any, issuer: str | None) -> None:
    assert not mentions(record(value), AGENT, ADDRESSES, issuer)


def test_a_key_names_the_agent_where_agents_are_keys_and_the_value_names_nobody() -> None:
    assert mentions(record(None, "portal.agents"), AGENT, ADDRESSES, "iel")
    assert not mentions(record(None, "portal.agents"), AGENT, ADDRESSES, "ouest")
    assert not mentions(record({"agent_id": "B"}, "portal.agents"), AGENT, ADDRESSES, "iel")


@pytest.mark.parametrize(
    ("headers", "is_theirs"), [((("x-agent", b"id A-1"),), True), ((("x", b"A-12"),), False)]
)
def test_headers_of_what_is_no_json_are_searched(headers: tuple[tuple[str, bytes]], is_theirs: bool) -> None:
    letter = Record("portal.enrolments", 0, 0, b"A-12", b"no JSON", headers, clock.now())
    assert mentions(letter, AGENT, ADDRESSES, "iel") == is_theirs


def test_an_agent_reads_of_a_group_without_the_colleagues() -> None:
    own = {"agent_id": "A-1", "employer": {"siret": "1"}}
    group = {"session_id": "s", "agents": [own, {"agent_id": "B-1", "given_name": "Ada"}]}
    assert without_others(group, AGENT, "iel") == {"session_id": "s", "agents": [own, {}]}
