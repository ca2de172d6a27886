"""Whether a record mentions a person, and what of it the person may read."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from shared import clock
from shared.events.cloudevents import Record
from shared.events.vocabulary import AgentKey
from shared.messaging.mentions import agents_in, as_read_by, mentions
from shared.personal_data import Subject

ADDRESSES = frozenset({"zoe@exemple.fr"})


def subject(agent_id: str | None = "A-1") -> Subject:
    agent = None if agent_id is None else AgentKey("iel", agent_id)
    return Subject(agent=agent, until=clock.now(), addresses=ADDRESSES)


def record(value: Any, key: bytes | None = None, **headers: bytes | None) -> Record:
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record("portal.enrolments", 0, 0, key, raw, tuple(headers.items()), clock.now())


@pytest.mark.parametrize(
    ("letter", "issuer"),
    [
        (record({"agents": [{"agent_id": "B"}, {"agent_id": "A-1"}]}), "iel"),
        (record({"agent": {"agent_id": "A-1", "issuer": "ouest"}}), "iel"),  # the sender's issuer counts
        (record({"agent": {"agent_id": "A-1", "issuer": "iel"}}), None),
        (record({"agent_id": "A-1"}), None),
        (record({"reason": "asked by A-1."}), "iel"),
        (record({"data": json.dumps({"agent_id": "A-1"})}), "iel"),
        (record(b'{"agent_id": "A-1", broken'), "iel"),
        (record(b"[" * 100_000 + b'"A-1"'), "iel"),
        (record(None, key=b"A-1"), "iel"),
        (record(b"no JSON", x_agent=b"id A-1"), "iel"),
        (record({"requested_by": {"email": " Zoe@Exemple.FR "}, "agents": [{"agent_id": "B"}]}), "ouest"),
        (record({"contact": "mailto:Zoe@exemple.fr?subject=x"}), "ouest"),
        (record(b"mail ZOE@exemple.fr of nobody's \xff"), "ouest"),
        (record(None, x_none=None, x_mail=b"zoe@exemple.fr"), "ouest"),
    ],
)
def test_a_mention_is_found_as_it_is_written_in_value_key_and_headers(
    letter: Record, issuer: str | None
) -> None:
    assert mentions(letter, subject(), issuer)


@pytest.mark.parametrize(
    ("letter", "issuer"),
    [
        (record({"agent_id": "A-12", "code": "xA-1"}), "iel"),
        (record({"agent_id": "A-1"}), "ouest"),
        (record({"agent_id": "A-1", "issuer": "ouest"}, key=b"A-1"), None),
        (record({"agent_id": "B-1", "email": "zoe@exemple.fr"}), "iel"),  # one mailbox for two
        (record({"contact": "not.zoe@exemple.fr, zoe@exemple.fr.example"}), "iel"),
        (record({"data_base64": base64.b64encode(b'{"agent_id": "A-1"}').decode()}), "iel"),
        (record(None), "iel"),
    ],
)
def test_another_agent_or_address_and_what_is_encoded_are_no_mention(
    letter: Record, issuer: str | None
) -> None:
    assert not mentions(letter, subject(), issuer)


@pytest.mark.parametrize("agent_id", ["session_id", "published", "1001", "2026", "s-1", "application/json"])
def test_no_word_of_a_services_event_is_taken_for_an_identifier(agent_id: str) -> None:
    state = {"session_id": "s-1", "status": "published", "capacity": 1001, "opens": "2026-12-02"}
    letter = record(state, key=b"s-1", content_type=b"application/json")

    assert not mentions(replace(letter, topic="catalogue.sessions"), subject(agent_id), None)


def test_a_services_event_names_an_agent_in_its_key_and_in_agent_id() -> None:
    named = record({"agent": {"agent_id": "A-1", "issuer": ""}}, key=b"s-1")
    keyed = record(b"no JSON", key=b"A-1")

    assert mentions(replace(named, topic="enrolment.notices"), subject(), None)
    assert mentions(replace(keyed, topic="enrolment.decisions"), subject(), None)
    assert not mentions(replace(keyed, topic="enrolment.notices"), subject(), None)


def test_an_identifier_of_two_characters_counts_only_as_a_whole_text() -> None:
    assert not mentions(record({"of": "42 agents", "seats": 42}), subject("42"), "iel")
    assert mentions(record({"of": " 42 "}), subject("42"), "iel")
    assert mentions(record(None, key=b"42"), subject("42"), "iel")


def test_an_agent_reads_of_a_group_without_the_colleagues() -> None:
    own = {"agent_id": "A-1", "email": "zoe.neuf@exemple.fr", "employer": {"siret": "1", "name": "Ville"}}
    also_own = {"agent_id": None, "email": "Zoe@exemple.fr"}
    colleagues = [{"agent_id": "B-1", "given_name": "Ada"}, {"email": "ada@exemple.fr", "given_name": "Ada"}]
    group = {"agents": [own, *colleagues, also_own], "requested_by": {"email": "ida@exemple.fr"}}
    left = {"agents": [own, {}, {}, also_own], "requested_by": {}}
    assert json.loads(as_read_by(json.dumps(group), subject(), "iel")) == left


def test_somebody_who_is_no_agent_reads_what_has_their_address_and_no_other() -> None:
    asked = {"requested_by": {"email": "zoe@exemple.fr"}, "advisor": {"email": "ida@exemple.fr"}}
    left = {"requested_by": {"email": "zoe@exemple.fr"}, "advisor": {}}
    assert json.loads(as_read_by(json.dumps(asked), subject(None), None)) == left


@pytest.mark.parametrize("raw", [b"A-1 and B-1 \xff", b'{"agent_id": "A-1"', b"[" * 100_000])
def test_of_what_is_no_json_nothing_is_shown_since_it_may_be_about_others(raw: bytes) -> None:
    assert as_read_by(raw, subject(), "iel") == "…"


@pytest.mark.parametrize(
    ("value", "issuer", "agents"),
    [
        ({"agents": [{"agent_id": "A-1", "email": "Zoé <zoe@exemple.fr>"}]}, "iel", [("iel", "A-1")]),
        ({"agent_id": 7, "issuer": "ouest", "email": "zoe@exemple.fr"}, None, [("ouest", "7")]),
        ({"agent_id": " A-1 ", "email": "zoe@exemple.fr"}, None, [("", "A-1")]),
        ({"agent_id": "A-1", "by": {"email": "zoe@exemple.fr"}}, "iel", []),
        (b"zoe@exemple.fr", "iel", []),
    ],
)
def test_an_address_belongs_to_the_agent_of_the_same_object(
    value: Any, issuer: str | None, agents: list[tuple[str, str]]
) -> None:
    assert agents_in(record(value).value, issuer, "zoe@exemple.fr") == agents


@pytest.mark.parametrize("sign", ["\\u0000", "\\ud800"], ids=["nul", "surrogate"])
def test_no_agent_has_an_identifier_that_a_log_of_reads_cannot_store(sign: str) -> None:
    assert agents_in(f'[{{"agent_id": "a{sign}"}}, {{"agent_id": "b"}}]', "iel") == [AgentKey("iel", "b")]
    assert agents_in(f'{{"issuer": "iel{sign}", "agent_id": "a"}}', None) == []
