"""Whether a record names an agent, whatever it holds."""

import base64
import json
from typing import Any

import pytest

from shared import clock
from shared.events.cloudevents import Record
from shared.events.vocabulary import AgentKey
from shared.messaging.mentions import (
    agents_with,
    as_read_by,
    mentions,
    names_in,
    names_of_addresses,
    names_of_agent,
    words_in,
)

AGENT = AgentKey("iel", "A-1")
ADDRESSES = frozenset({"zoe@exemple.fr"})
ZOE = "… A-1 … zoe@exemple.fr …"


NAMING: list[tuple[Any, str | None]] = [
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
    ({"agent": {"agent_id": " A-1 "}}, "iel"),
    ({"agent": {"agent_id": ["A-1"], "email": "zoe@exemple.fr"}}, "iel"),  # an identifier nobody can have
    ({"agent": {"agent_id": None, "email": "zoe@exemple.fr"}}, "iel"),
    ({"type": "x", "data_base64": base64.b64encode(b'{"agent_id": "A-1"}').decode()}, "iel"),
    ({"data_base64": "no base64, but A-1"}, "iel"),
    ({"reason": "A-1"}, "iel"),
    (json.dumps(json.dumps({"agent_id": "A-1"})).encode(), "iel"),  # encoded twice
    ({"agent": json.dumps({"agent_id": "A-1", "email": "autre@exemple.fr"})}, None),
    ({"data": json.dumps({"agent": json.dumps({"agent_id": "A-1"})})}, "iel"),
    (b'{"agent_id": "A-1", "email": "b@exemple.fr", "agent_id": "X-2"}', "iel"),  # the last wins
    (b'{"agent_id": "A-1", "agent_id": "X-2", "issuer": "ouest", "issuer": "iel"}', None),
    ({"agent": {"agent_id": ["A-1"], "email": "autre@exemple.fr"}}, "iel"),
    ([["agent_id", "A-1"], ["issuer", "iel"]], "iel"),
    ({"A-1": {"given_name": "Zoé"}}, "iel"),
    ({"zoe@exemple.fr": True}, "ouest"),
    ({"contact": "Zoé <zoe@exemple.fr>"}, "ouest"),
    ({"contact": "mailto:Zoe@exemple.fr?subject=x"}, "ouest"),
    ({"contact": ["de 'zoe@exemple.fr'."]}, "ouest"),
    ({"data_base64": base64.b64encode(b"agent_id=A-1&x=").decode()}, "iel"),
    ({"data_base64": base64.b64encode(b"no JSON, zoe@exemple.fr").decode()}, "ouest"),
    ('{"agent_id": "A-1"}'.encode("utf-16")[:-1], "iel"),
    (b'{"agent_id": "\\u0041-1", broken', "iel"),
    ({"agent": '{"agent_id": "\\u0041-1", broken'}, "iel"),
]
OUTSIDE: list[tuple[bytes | None, tuple[tuple[str, bytes | None], ...], str | None]] = [
    (b"A-1", (), "iel"),
    (b"A-1", (), None),
    (None, (("x-agent", b"A-1"),), "iel"),
    (None, (("x-none", None), ("x-mail", b"zoe@exemple.fr")), "ouest"),
    (None, (("A-1", b""),), "iel"),
]


def record(value: Any, topic: str = "portal.enrolments", key: bytes | None = None) -> Record:
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record(topic, 0, 0, key, raw, (), clock.now())


@pytest.mark.parametrize(("value", "issuer"), NAMING)
def test_a_record_that_names_the_agent(value: Any, issuer: str | None) -> None:
    assert mentions(record(value), AGENT, ADDRESSES, issuer)


def names_of(letter: Record) -> set[str]:
    names = names_in(letter)
    return set(words_in(letter) if names is None else names)


LOOKED_FOR = {*names_of_agent(AGENT), *names_of_addresses(ADDRESSES)}


@pytest.mark.parametrize(("value", "issuer"), NAMING)
def test_a_record_that_names_the_agent_is_found_by_its_names(value: Any, issuer: str | None) -> None:
    assert LOOKED_FOR & names_of(record(value))


@pytest.mark.parametrize(("key", "given", "issuer"), OUTSIDE)
@pytest.mark.parametrize("value", [b'{"agent_id": "B-1"}', b"no JSON", None])
def test_a_record_that_names_the_agent_in_its_key_or_a_header(
    value: bytes | None,
    key: bytes | None,
    given: tuple[tuple[str, bytes | None], ...],
    issuer: str | None,
) -> None:
    letter = Record("portal.enrolments", 0, 0, key, value, given, clock.now())
    assert mentions(letter, AGENT, ADDRESSES, issuer)
    assert LOOKED_FOR & names_of(letter)


@pytest.mark.parametrize("agent_id", ["A-1", "!!", "(A-1)", "x.yy.z", "a/b@c"])
@pytest.mark.parametrize("address", ["zoe@exemple.fr", "é@ü.fr", "a+b@x-y.z.fr", "o'c@é.ü"])
def test_words_by_which_an_identifier_or_address_is_found_are_words_of_the_record(
    agent_id: str, address: str
) -> None:
    names = set(words_in(record(f"\\n<{agent_id}>\\n{address.upper()}nobody {{".encode())))
    agent, upper = AgentKey("iel", agent_id), address.encode().upper().lower().decode()
    assert names.intersection(names_of_agent(agent))
    assert names.intersection(names_of_addresses([upper]))


@pytest.mark.parametrize(
    ("value", "issuer"),
    [
        ({"agent_id": "A-1"}, "ouest"),
        ({"agent": {"agent_id": "A-1", "issuer": "ouest"}}, None),
        ({"agent_id": "A-12"}, "iel"),
        ({"reason": "A-12 and XA-1"}, "iel"),
        (json.dumps(json.dumps({"agent_id": "A-1", "issuer": "ouest"})).encode(), None),
        ({"agent": json.dumps({"agent_id": "A-1", "issuer": "ouest"})}, None),
        ({"agent": json.dumps({"agent_id": "A-1"}), "to": ["A-1"]}, "ouest"),
        ({"email": "autre.zoe@exemple.fr"}, "iel"),
        ({"agent_id": "B-1", "email": "zoe@exemple.fr"}, "iel"),  # one mailbox for both
        (b'{"agent_id": "A-1", broken', "ouest"),
        ([], "iel"),
        (None, "iel"),
        ({"agent": {"agent_id": ["A-12"], "email": "autre@exemple.fr"}}, "iel"),
        ({"data_base64": base64.b64encode(b'{"agent_id": "B-1"}').decode()}, "iel"),
    ],
)
def test_a_record_that_names_somebody_else_or_nobody(value: Any, issuer: str | None) -> None:
    assert not mentions(record(value), AGENT, ADDRESSES, issuer)


IN_BASE64 = base64.b64encode(b"[1,1,1,1]").decode()


@pytest.mark.parametrize(
    "value",
    [
        [1, 1, 1, 1],
        {"x": "[1,1,1,1]"},
        b'{"x": "[1\\u002c1\\u002c1\\u002c1]"}',
        {"data_base64": IN_BASE64},
        {"data": json.dumps({"data_base64": IN_BASE64})},
        [{"data_base64": base64.b64encode(b"[1,1]").decode()}] * 2,  # one is between them
    ],
)
def test_what_has_more_values_than_are_indexed_wherever_they_hide_is_always_read(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names_in(record(value)) is not None
    monkeypatch.setattr("shared.messaging.mentions.MAX_VALUES", 2)
    monkeypatch.setattr("shared.messaging.mentions.OF_TEXT", 0)
    assert names_in(record(value)) is None
    assert words_in(record(value))


@pytest.mark.parametrize(
    "value",
    [["[1]"] * 30, {"data_base64": IN_BASE64, "data": ["{"] * 30}, [{"data_base64": "W10="}] * 20],
)
def test_a_text_that_may_be_json_and_one_in_base64_count_for_what_it_takes_to_read_them(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.mentions.MAX_VALUES", 100)
    assert names_in(record(value)) is None
    monkeypatch.setattr("shared.messaging.mentions.OF_TEXT", 1)
    assert names_in(record(value)) is not None


def test_a_key_is_of_the_issuer_whom_the_sender_or_the_value_says() -> None:
    assert not mentions(record(None, key=b"A-1"), AGENT, ADDRESSES, "ouest")
    assert not mentions(record({"agent_id": "A-1", "issuer": "ouest"}, key=b"A-1"), AGENT, ADDRESSES, None)
    assert mentions(record({"agent_id": "B-1", "issuer": "ouest"}, key=b"A-1"), AGENT, ADDRESSES, None)


def test_an_identifier_is_found_in_any_text_unless_it_is_as_short_as_a_number_of_much_else() -> None:
    agent, short = AgentKey("iel", "ODD-1"), AgentKey("iel", "42")
    letter = record({"reason": "à la place d’ODD-1.", "to": "42 rue des Lilas", "specversion": "4.2"})
    assert mentions(letter, agent, ADDRESSES, "iel")
    assert set(names_of_agent(agent)) & names_of(letter)
    assert not mentions(letter, short, ADDRESSES, "iel")
    assert mentions(record({"of": " 42 "}), short, ADDRESSES, "iel")
    assert mentions(record(b"of 42, broken"), short, ADDRESSES, "iel")


@pytest.mark.parametrize(
    ("headers", "is_theirs"), [((("x-agent", b"id A-1"),), True), ((("x", b"A-12"),), False)]
)
def test_headers_of_what_is_no_json_are_searched(headers: tuple[tuple[str, bytes]], is_theirs: bool) -> None:
    letter = Record("portal.enrolments", 0, 0, b"A-12", b"no JSON", headers, clock.now())
    assert mentions(letter, AGENT, ADDRESSES, "iel") == is_theirs


def test_an_identifier_that_is_written_as_a_number_names_its_agent() -> None:
    letter = record({"agent": {"agent_id": 4242, "email": "num@exemple.fr"}})
    assert mentions(letter, AgentKey("iel", "4242"), frozenset(), "iel")
    assert not mentions(letter, AGENT, {"num@exemple.fr"}, "iel")  # one mailbox for both


def test_an_agent_reads_of_a_group_without_the_colleagues() -> None:
    own = {"agent_id": "A-1", "email": "zoe.neuf@exemple.fr", "employer": {"siret": "1", "name": "Ville"}}
    also_own = {"agent_id": None, "email": "Zoe@exemple.fr"}
    colleagues = [{"agent_id": "B-1", "given_name": "Ada"}, {"email": "ada@exemple.fr", "given_name": "Ada"}]
    group = {
        "session_id": "s",
        "agents": [own, *colleagues, also_own],
        "requested_by": {"name": "Ida", "email": "ida@exemple.fr"},
    }
    left = {"session_id": "s", "agents": [own, {}, {}, also_own], "requested_by": {}}
    assert json.loads(as_read_by(json.dumps(group), AGENT, ADDRESSES, "iel") or "") == left


def test_somebody_who_is_no_agent_reads_what_has_their_address_and_no_other() -> None:
    asked = {
        "siret": "1",
        "requested_by": {"email": "zoe@exemple.fr"},
        "advisor": {"email": "ida@exemple.fr"},
    }
    left = {"siret": "1", "requested_by": {"email": "zoe@exemple.fr"}, "advisor": {}}
    assert json.loads(as_read_by(json.dumps(asked), None, ADDRESSES, None) or "") == left


def test_what_is_in_base64_is_read_as_what_it_is() -> None:
    group = base64.b64encode(b'{"agents": [{"agent_id": "A-1"}, {"agent_id": "B-1"}]}').decode()
    assert as_read_by(json.dumps({"data_base64": group}), AGENT, ADDRESSES, "iel") == (
        '{"data_base64": {"agents": [{"agent_id": "A-1"}, {}]}}'
    )
    assert as_read_by(None, AGENT, ADDRESSES, "iel") == "null"


@pytest.mark.parametrize(
    ("raw", "issuer", "shown"),
    [
        (b'{"agents": [{"agent_id": "A-1"}, {"agent_id": "B-1", "given_na', "iel", "… A-1 …"),  # cut
        (b"<agent>A-1</agent><mail>Zoe@exemple.fr \xff</mail><agent>B-1</agent>", None, ZOE),
        (b"A-1 of the other issuer; ida@exemple.fr", "ouest", "…"),
        (b'{"agents": [{"agent_id": ["A-1"]}, ["agent_id", "B-1"]]}', "iel", "… A-1 …"),
        (json.dumps({"agent": json.dumps([{"agent_id": "A-1"}, {"agent_id": "B-1"}])}), None, "… A-1 …"),
        (f'[{{"agent_id": "A-1"}}, {{"agent_id": "B-1"}}, {"[" * 100_000}{"]" * 100_000}]', None, "… A-1 …"),
    ],
)
def test_of_what_has_no_parts_the_person_reads_the_words_that_name_them(
    raw: bytes | str, issuer: str | None, shown: str
) -> None:
    assert as_read_by(raw, AGENT, ADDRESSES, issuer) == shown


@pytest.mark.parametrize(
    ("value", "issuer", "agents"),
    [
        ({"agents": [{"agent_id": "A-1", "email": "Zoé <zoe@exemple.fr>"}]}, "iel", [("iel", "A-1")]),
        (json.dumps({"agent_id": 7, "issuer": "ouest", "email": "zoe@exemple.fr"}), None, [("ouest", "7")]),
        ({"agent_id": "A-1", "email": "zoe@exemple.fr"}, None, [("", "A-1")]),
        ({"agent_id": "A-1", "by": {"email": "zoe@exemple.fr"}}, "iel", []),
        ({"agent_id": "A-1", "email": "not.zoe@exemple.fr"}, "iel", None),
    ],
)
def test_an_address_in_a_record_is_that_of_the_agent_beside_whom_it_stands(
    value: Any, issuer: str | None, agents: list[tuple[str, str]] | None
) -> None:
    assert agents_with(record(value), "zoe@exemple.fr", issuer) == agents
