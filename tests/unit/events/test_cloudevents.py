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


def read_event(headers: dict[str, str], value: bytes) -> Received[Any]:
    received = read(headers, value)
    assert received is not None
    return received


def read_structured(value: bytes) -> Received[Any]:
    return read_event({"content-type": STRUCTURED}, value)


def why(headers: dict[str, str], value: bytes | None, topic: Topic = Topic.PORTAL_ENROLMENTS) -> str:
    with pytest.raises(Unreadable) as refused:
        read(headers, value, topic)
    return str(refused.value)


# ------------------------------------------------------------------------------------------------ accepted


@pytest.mark.parametrize("trace", ["traceparent", "ce_traceparent"])
def test_binary_mode_is_read_with_all_that_its_headers_say(trace: str) -> None:
    document = enrolment_request(SESSION)
    received = read_event(binary_headers(**{trace: TRACE}), as_json(document))
    assert received.id == uuid.UUID(EVENT_ID)
    assert received.source == "/portals/rennes"
    assert received.time == datetime(2025, 3, 20, 10, 0, tzinfo=UTC)
    assert received.traceparent == TRACE
    assert received.event == EnrolmentRequested.model_validate(document)


def test_structured_mode_says_the_same_as_binary_mode_also_in_base64_and_only_for_portals() -> None:
    document = enrolment_request(SESSION)
    whole = read_structured(structured(data=document, traceparent=TRACE))
    binary = read_event(binary_headers(traceparent=TRACE), as_json(document))
    assert replace(whole, record=binary.record) == binary
    value = as_json(ATTRIBUTES | {"data_base64": base64.b64encode(as_json(document)).decode()})
    assert read_structured(value).event == binary.event
    refused = why({"content-type": STRUCTURED}, structured(), Topic.CATALOGUE_SESSIONS)
    assert "only accepted on portal topics" in refused


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


def test_unknown_fields_and_attributes_are_ignored_and_an_unknown_type_is_no_error() -> None:
    document = enrolment_request(SESSION, colour="blue")
    document["agent"]["grade"] = {"class": 1}
    received = read_event(binary_headers(ce_tenant="x", other="y"), as_json(document))
    assert "grade" not in received.event.model_dump_json()
    assert read(binary_headers(ce_type="fr.cnfpt.portal.EnrolmentRequested.v2"), b"anything") is None


@pytest.mark.parametrize(
    "trace",
    ["", "x" * 10_000, "00-\0", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n", "\ud800"],
)
def test_an_invalid_trace_never_costs_the_event(trace: str) -> None:
    """It would travel into our database and headers: what is no W3C trace context counts as absent."""
    by_header = read_event(binary_headers(traceparent=trace), as_json(enrolment_request(SESSION)))
    by_attribute = read_structured(json.dumps(json.loads(structured()) | {"traceparent": trace}).encode())
    assert by_header.traceparent is by_attribute.traceparent is None


# ------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize("name", ["specversion", "id", "type", "source"])
def test_a_missing_attribute_or_one_that_is_no_text_is_named(name: str) -> None:
    for empty in (None, ""):
        headers = binary_headers(**{f"ce_{name}": empty})
        assert f"ce_{name}" in why(headers, as_json(enrolment_request(SESSION)))
    no_texts: list[Any] = [None, 1, [], {}, ""]
    for value in no_texts:
        assert f"{name!r} is missing" in why({"content-type": STRUCTURED}, structured(**{name: value}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ce_specversion": "0.3"}, "'0.3' is not 1.0"),
        *(({"ce_id": given}, "is not a UUID") for given in ("1", "not-a-uuid", EVENT_ID + "0", "\0")),
        *(
            ({"content-type": kind}, "content type")
            for kind in ("text/plain", "", "application/cloudevents-batch+json")
        ),
        *(
            ({name: sign * 900_000}, shown)
            for name in ("ce_id", "ce_specversion", "content-type")
            for sign, shown in (("x", "xxx"), ("\U000e0001", r"\U000e0001"))
        ),
    ],
    ids=lambda given: str(given)[:40],
)
def test_an_invalid_envelope_is_named_in_a_short_reason(changes: dict[str, str], reason: str) -> None:
    refused = why(binary_headers(**changes), as_json(enrolment_request(SESSION)))
    assert reason in refused
    assert len(refused) < 500


UNREADABLE_VALUES = {
    "empty": b"",
    "no JSON": b"not json",
    "a list": b"[]",
    "not UTF-8": b"\xff\xfe\x00",
    "cut off": b'{"session_id":',
    "900 KB of brackets": b"[" * 900_000,
    "nested too deep": b'{"data":' * 100_000,
}


@pytest.mark.parametrize("value", UNREADABLE_VALUES.values(), ids=UNREADABLE_VALUES)
def test_a_value_that_is_no_json_object_is_refused_in_both_modes(value: bytes) -> None:
    assert why(binary_headers(), value).startswith(EnrolmentRequested.TYPE)
    assert why({"content-type": STRUCTURED}, value)
    assert "tombstone" in why(binary_headers(), None)


NOT_READ: list[dict[str, Any]] = [
    *({"data_base64": data} for data in ("no base64!", 1, base64.b64encode(b"\xff").decode())),
    {"data_base64": None},
    {"data": None},
    {"data": []},
    {"data": float("inf")},
    {"data": enrolment_request(SESSION) | {"another": float("nan")}},
    {"data": json.loads("[" * 300 + "]" * 300)},
    {},
    {"id": "\ud800"},
    {"datacontenttype": "text/xml"},
]


@pytest.mark.parametrize(
    "document",
    NOT_READ,
    ids=lambda document: str(document)[:30],
)
def test_a_structured_event_that_cannot_be_read_is_refused(document: dict[str, Any]) -> None:
    why({"content-type": STRUCTURED}, json.dumps(ATTRIBUTES | document).encode())


APPROVED_AT = ["hier", "2025-03-20T10:00:00", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", 1e300]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", "6f0c2f0e"),
        ("session_id", 7),
        ("session_id", None),
        ("agent", "IEL-0048151"),
        ("agent", None),
        ("agent", []),
        *(("approval", {"approved_by": "Nadia Benali", "approved_at": at}) for at in APPROVED_AT),
        ("approval", {"approved_by": ["Nadia Benali"], "approved_at": "2025-03-20T10:00:00Z"}),
    ],
)
def test_a_field_that_breaks_its_contract_is_named(field: str, value: Any) -> None:
    assert f" {field}" in why(binary_headers(), as_json(enrolment_request(SESSION) | {field: value}))


def test_missing_fields_are_named_up_to_five_and_the_data_is_never_quoted() -> None:
    reason = why(binary_headers(), b'{"agent": {}}')
    assert "session_id: Field required" in reason
    assert "and 2 more" in reason
    document = enrolment_request(SESSION)
    document["agent"] |= {"email": "zoe durand ville", "given_name": "Zo\né", "function": "maire"}
    reason = why(binary_headers(), as_json(document))
    assert not any(personal in reason for personal in ("zoe durand ville", "Zo", "maire"))
    assert all(field in reason for field in ("agent.email", "agent.given_name", "agent.function"))


HOSTILE = {
    "given_name": [
        *("Zoé\nBcc: evil@example.org", "Zoé\rBcc: evil@example.org", "Zo\0é", "\x1b[2J", "a\x7fb", "a\x9bb"),
        *("a\x85b", "a\u2028b", "a\u2029b", "a\ud800b", "\udc00\ud800", "", "  ", "a" * 301),
    ],
    "email": [
        *("zoe@ville.fr\nBcc: evil@example.org", "zoe\r\n@ville.fr", "zoe@ville.fr\0", "zoe @ville.fr"),
        *("zoe@ville.fr, evil@example.org", "Zoé <zoe@ville.fr>", "zoe@ville", "zoe", "@ville.fr", "zoe@"),
        *("zoe@ville..fr", "zoe@.fr", "zoe@[127.0.0.1]", '"zoe\\r"@ville.fr', "zoe@ville\u2028.fr"),
        *("zoe\x85@ville.fr", "zoe@@ville.fr", f"{'z' * 65}@ville.fr", f"zoe@{'v' * 250}.fr", "\ud800@v.fr"),
    ],
}


@pytest.mark.parametrize(
    ("field", "text"), [(field, text) for field, texts in HOSTILE.items() for text in texts], ids=ascii
)
def test_no_name_or_address_breaks_a_header_or_the_database_or_reaches_somebody_else(
    field: str, text: str
) -> None:
    document = enrolment_request(SESSION)
    document["agent"][field] = text
    # json.dumps escapes a lone surrogate, which is how one arrives; the JSON reader refuses it already.
    names_it = (f"agent.{field}", "surrogate", "unexpected end of hex escape")
    for reason in (
        why(binary_headers(), json.dumps(document).encode()),
        why({"content-type": STRUCTURED}, json.dumps(ATTRIBUTES | {"data": document}).encode()),
    ):
        assert any(name in reason for name in names_it), reason


@pytest.mark.parametrize(
    "address",
    ["zoe+formation@ville.exemple.fr", "o'hara_{1}@ville.fr", "zoé@mairie-évry.fr", " zoe@ville.fr "],
)
def test_an_address_of_a_real_person_is_accepted(address: str) -> None:
    document = enrolment_request(SESSION)
    document["agent"]["email"] = address
    received = read_event(binary_headers(), as_json(document))
    assert received.event.agent.email == address.strip()


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
