"""Reading CloudEvents from Kafka records: what is accepted, what is ignored, and why the rest is not read."""

import base64
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.events import cloudevents
from shared.events.cloudevents import STRUCTURED, Received, Record, Unreadable, decode
from shared.events.portal import EnrolmentRequested, WithdrawalRequested
from shared.events.topics import Topic
from tests.support.builders import as_json, enrolment_request

SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
EVENT_ID = "2c5ea4c0-4067-4d1e-9f0a-71e0c2c3b9aa"
ATTRIBUTES = {
    "specversion": "1.0",
    "id": EVENT_ID,
    "type": EnrolmentRequested.TYPE,
    "source": "/portals/rennes",
    "time": "2025-03-20T11:00:00+01:00",
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def binary_headers(**changes: str | None) -> dict[str, str]:
    """Headers of a binary-mode record; None leaves one out."""
    headers = {f"ce_{name}": value for name, value in ATTRIBUTES.items()}
    changed: dict[str, str | None] = {**headers, "content-type": "application/json", **changes}
    return {name: value for name, value in changed.items() if value is not None}


def structured(**changes: Any) -> bytes:
    """A structured-mode value."""
    return as_json(ATTRIBUTES | {"data": enrolment_request(SESSION)} | changes)


def read(
    headers: dict[str, str], value: bytes | None, topic: Topic = Topic.PORTAL_ENROLMENTS
) -> Received[Any] | None:
    encoded = tuple((name, text.encode(errors="surrogatepass")) for name, text in headers.items())
    return decode(Record(topic, 3, 42, b"key", value, encoded, datetime(2026, 1, 2, tzinfo=UTC)))


def read_structured(value: bytes) -> Received[Any]:
    received = read({"content-type": STRUCTURED}, value)
    assert received is not None
    return received


def why(headers: dict[str, str], value: bytes | None, topic: Topic = Topic.PORTAL_ENROLMENTS) -> str:
    with pytest.raises(Unreadable) as refused:
        read(headers, value, topic)
    return str(refused.value)


# ------------------------------------------------------------------------------------------------ accepted


def test_binary_mode_is_read_with_all_that_its_headers_say() -> None:
    document = enrolment_request(SESSION)

    received = read(binary_headers(traceparent=TRACE), as_json(document))

    assert received is not None
    assert received.id == uuid.UUID(EVENT_ID)
    assert received.source == "/portals/rennes"
    assert received.time == datetime(2025, 3, 20, 10, 0, tzinfo=UTC)
    assert received.traceparent == TRACE
    assert received.event == EnrolmentRequested.model_validate(document)


def test_structured_mode_says_the_same_as_binary_mode() -> None:
    document = enrolment_request(SESSION)

    whole = read_structured(structured(data=document, traceparent=TRACE))

    binary = read(binary_headers(traceparent=TRACE), as_json(document))
    assert binary is not None
    assert replace(whole, record=binary.record) == binary


def test_structured_data_may_be_base64() -> None:
    document = enrolment_request(SESSION)
    value = as_json(ATTRIBUTES | {"data_base64": base64.b64encode(as_json(document)).decode()})

    assert read_structured(value).event == EnrolmentRequested.model_validate(document)


def test_structured_mode_is_only_for_portals() -> None:
    assert "only accepted on portal topics" in why(
        {"content-type": STRUCTURED}, structured(), Topic.CATALOGUE_SESSIONS
    )


@pytest.mark.parametrize(
    "changes",
    [
        *({"content-type": kind} for kind in (None, "Application/JSON", " application/json ;x=y")),
        *({"ce_time": time} for time in (None, "", "yesterday", "9999-12-31T23:59:59-14:00", "\ud800")),
    ],
    ids=str,
)
def test_other_forms_of_the_content_type_and_any_time_of_the_sender_are_read(
    changes: dict[str, str | None],
) -> None:
    assert read(binary_headers(**changes), as_json(enrolment_request(SESSION))) is not None


def test_unknown_fields_and_attributes_are_ignored() -> None:
    document = enrolment_request(SESSION, colour="blue")
    document["agent"]["grade"] = {"class": 1}

    received = read(binary_headers(ce_tenant="x", other="y"), as_json(document))

    assert received is not None
    assert "grade" not in received.event.model_dump_json()


def test_an_unknown_type_is_told_apart_from_what_cannot_be_read() -> None:
    newer = binary_headers(ce_type="fr.cnfpt.portal.EnrolmentRequested.v2")

    assert read(newer, b"anything") is None


def test_the_trace_may_have_the_name_of_its_extension_in_binary_mode() -> None:
    received = read(binary_headers(ce_traceparent=TRACE), as_json(enrolment_request(SESSION)))

    assert received is not None
    assert received.traceparent == TRACE


@pytest.mark.parametrize(
    "trace",
    ["", "x" * 10_000, "00-\0", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n", "\ud800"],
)
def test_a_trace_that_is_none_never_costs_the_event(trace: str) -> None:
    """It would travel into our database and headers: what is no W3C trace context counts as absent."""
    by_header = read(binary_headers(traceparent=trace), as_json(enrolment_request(SESSION)))
    by_attribute = read_structured(json.dumps(json.loads(structured()) | {"traceparent": trace}).encode())

    assert by_header is not None
    assert by_header.traceparent is None
    assert by_attribute.traceparent is None


# ------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize("name", ["specversion", "id", "type", "source"])
def test_a_missing_attribute_or_one_that_is_no_text_is_named(name: str) -> None:
    for empty in (None, ""):
        headers = binary_headers(**{f"ce_{name}": empty})
        assert f"ce_{name}" in why(headers, as_json(enrolment_request(SESSION)))
    not_text: list[Any] = [None, 1, [], {}, ""]
    for value in not_text:
        assert f"{name!r} is missing" in why({"content-type": STRUCTURED}, structured(**{name: value}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ce_specversion": "0.3"}, "'0.3' is not 1.0"),
        *(({"ce_id": given}, "is not a UUID") for given in ("1", "not-a-uuid", EVENT_ID + "0", "\0")),
        *(
            ({"content-type": kind}, "content type")
            for kind in ("text/plain", "application/avro", "", "application/cloudevents-batch+json")
        ),
    ],
    ids=str,
)
def test_what_an_envelope_may_not_say_is_named(changes: dict[str, str], reason: str) -> None:
    assert reason in why(binary_headers(**changes), as_json(enrolment_request(SESSION)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"id": "\ud800"}, "is not a UUID"), ({"datacontenttype": "text/xml"}, "content type is 'text/xml'")],
)
def test_what_a_structured_event_may_not_say_is_named(changes: dict[str, str], reason: str) -> None:
    value = json.dumps(json.loads(structured()) | changes).encode()
    assert reason in why({"content-type": STRUCTURED}, value)


def test_a_tombstone_is_refused() -> None:
    assert "tombstone" in why(binary_headers(), None)


UNREADABLE_VALUES = {
    "empty": b"",
    "no JSON": b"not json",
    "a list": b"[]",
    "null": b"null",
    "not UTF-8": b"\xff\xfe\x00",
    "cut off": b'{"session_id":',
    "900 KB of brackets": b"[" * 900_000,
    "nested too deep": b'{"data":' * 100_000,
}


@pytest.mark.parametrize("value", UNREADABLE_VALUES.values(), ids=UNREADABLE_VALUES)
def test_a_value_that_is_no_json_object_is_refused_in_both_modes(value: bytes) -> None:
    assert why(binary_headers(), value).startswith(EnrolmentRequested.TYPE)
    assert why({"content-type": STRUCTURED}, value)


@pytest.mark.parametrize(
    "document",
    [
        {"data_base64": "no base64!"},
        {"data_base64": 1},
        {"data_base64": None},
        {"data_base64": base64.b64encode(b"\xff").decode()},
        {"data": None},
        {"data": []},
        {"data": float("inf")},
        {"data": json.loads("[" * 300 + "]" * 300)},
        {},
    ],
)
def test_structured_data_that_cannot_be_read_is_refused(document: dict[str, Any]) -> None:
    why({"content-type": STRUCTURED}, json.dumps(ATTRIBUTES | document).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", "6f0c2f0e"),
        ("session_id", 7),
        ("session_id", None),
        ("agent", "IEL-0048151"),
        ("agent", None),
        ("agent", []),
        ("approval", {"approved_by": "Nadia Benali", "approved_at": "hier"}),
        ("approval", {"approved_by": "Nadia Benali", "approved_at": "2025-03-20T10:00:00"}),
        ("approval", {"approved_by": "Nadia Benali", "approved_at": "9999-12-31T23:59:59-01:00"}),
        ("approval", {"approved_by": "Nadia Benali", "approved_at": "0001-01-01T00:00:00+01:00"}),
        ("approval", {"approved_by": "Nadia Benali", "approved_at": 1e300}),
        ("approval", {"approved_by": ["Nadia Benali"], "approved_at": "2025-03-20T10:00:00Z"}),
    ],
)
def test_a_field_that_breaks_its_contract_is_named(field: str, value: Any) -> None:
    document = enrolment_request(SESSION) | {field: value}

    assert f" {field}" in why(binary_headers(), as_json(document))


def test_missing_fields_are_all_named_up_to_five() -> None:
    reason = why(binary_headers(), b'{"agent": {}}')

    assert "session_id: Field required" in reason
    assert "agent.email: Field required" in reason
    assert "and 2 more" in reason


HOSTILE_TEXT = {
    "line feed": "Zoé\nBcc: evil@example.org",
    "carriage return": "Zoé\rBcc: evil@example.org",
    "both": "Zoé\r\n\r\nbody",
    "NUL": "Zo\0é",
    "escape": "\x1b[2J",
    "delete": "a\x7fb",
    "C1": "a\x9bb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "lone surrogate": "a\ud800b",
    "surrogates in the wrong order": "\udc00\ud800",
    "nothing": "",
    "blank": "  ",
    "too long": "a" * 301,
}


@pytest.mark.parametrize("text", HOSTILE_TEXT.values(), ids=HOSTILE_TEXT)
def test_a_name_cannot_carry_what_would_break_a_header_or_the_database(text: str) -> None:
    field = "given_name"
    document = enrolment_request(SESSION)
    document["agent"][field] = text

    # json.dumps escapes a lone surrogate, which is how one arrives; the JSON reader refuses it already.
    names_it = (f"agent.{field}", "surrogate", "unexpected end of hex escape")
    for reason in (
        why(binary_headers(), json.dumps(document).encode()),
        why({"content-type": STRUCTURED}, json.dumps(ATTRIBUTES | {"data": document}).encode()),
    ):
        assert any(name in reason for name in names_it), reason


HOSTILE_ADDRESSES = (
    "zoe@ville.fr\nBcc: evil@example.org",
    "zoe\r\n@ville.fr",
    "zoe@ville.fr\0",
    "zoe@ville.fr, evil@example.org",
    "Zoé <zoe@ville.fr>",
    "zoe@ville",
    "zoe",
    "@ville.fr",
    "zoe@",
    "zoe@ville..fr",
    "zoe@.fr",
    "zoe@[127.0.0.1]",
    '"zoe\\r"@ville.fr',
    "zoe @ville.fr",
    "zoe@ville.fr evil@example.org",
    "zoe@ville\u2028.fr",
    "zoe\x85@ville.fr",
    "zoe@@ville.fr",
    f"{'z' * 65}@ville.fr",
    f"zoe@{'v' * 250}.fr",
    "\ud800@ville.fr",
)


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
def test_an_address_that_could_reach_somebody_else_is_refused(address: str) -> None:
    document = enrolment_request(SESSION)
    document["agent"]["email"] = address

    why(binary_headers(), json.dumps(document).encode())


@pytest.mark.parametrize(
    "address",
    [
        "zoe.durand@ville-exemple.fr",
        "zoe+formation@ville.exemple.fr",
        "o'hara_{1}@ville.fr",
        "zoé@mairie-d’évry.fr",
        " zoe@ville.fr ",
    ],
)
def test_an_address_of_a_real_person_is_accepted(address: str) -> None:
    document = enrolment_request(SESSION)
    document["agent"]["email"] = address

    received = read(binary_headers(), as_json(document))

    assert received is not None
    assert received.event.agent.email == address.strip()


def test_the_reason_never_quotes_the_data_which_may_be_personal() -> None:
    document = enrolment_request(SESSION)
    document["agent"] |= {"email": "zoe durand ville", "given_name": "Zo\né", "function": "maire"}

    reason = why(binary_headers(), as_json(document))

    assert not any(secret in reason for secret in ("zoe durand ville", "Zo", "maire"))
    assert all(field in reason for field in ("agent.email", "agent.given_name", "agent.function"))


def test_a_reason_is_short_whatever_the_sender_wrote() -> None:
    for headers in (
        binary_headers(ce_id="x" * 900_000),
        binary_headers(ce_specversion="x" * 900_000),
        binary_headers(**{"content-type": "x" * 900_000}),
    ):
        assert len(why(headers, b"{}")) < 500


def test_900_kb_are_read_when_they_are_an_event_and_refused_when_a_field_is_too_long() -> None:
    large = enrolment_request(SESSION, padding="x" * 900_000)
    assert read(binary_headers(), as_json(large)) is not None

    withdrawal = as_json({"session_id": SESSION, "agent_id": "IEL-1", "reason": "x" * 900_000})
    reason = why(binary_headers(ce_type=WithdrawalRequested.TYPE), withdrawal)
    assert "reason" in reason
    assert len(reason) < 500


# ------------------------------------------------------------------------------------------------ published


def test_the_published_headers_are_exactly_the_contracts() -> None:
    headers = cloudevents.headers(
        cloudevents.attributes(
            event_id=uuid.UUID(EVENT_ID),
            event_type=EnrolmentRequested.TYPE,
            source="/services/enrolment",
            time=datetime(2025, 3, 20, 10, 0, 0, 250_000, tzinfo=UTC),
            subject=SESSION,
            traceparent=TRACE,
        )
    )

    assert headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", EVENT_ID.encode()),
        ("ce_type", b"fr.cnfpt.portal.EnrolmentRequested.v1"),
        ("ce_source", b"/services/enrolment"),
        ("ce_time", b"2025-03-20T10:00:00.250000Z"),
        ("ce_subject", SESSION.encode()),
        ("content-type", b"application/json"),
        ("traceparent", TRACE.encode()),
    ]
