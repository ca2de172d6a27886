"""When a webhook is tried again and given up, what its headers say, and where it may lead."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock
from uuid import UUID

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from services.enrolment.rules.webhooks import (
    PATIENCE,
    WebhookFailure,
    WebhookState,
    after_attempt,
    pause_after,
)
from services.enrolment.webhooks.sending import WebhookSender, _Connection, is_public
from shared.messaging.portals import registry
from shared.messaging.portals.registry import Portal, UnreadablePortals, Webhook
from shared.messaging.portals.signatures import key_of, new_secret
from shared.messaging.portals.webhooks import headers

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
EVENT = UUID("5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11")
BODY = '{"type":"fr.cnfpt.enrolment.AgentEnrolled.v1","data":{"name":"Zoé"}}'.encode()
AWAY = WebhookFailure("status 503")


def test_pauses_grow_up_to_six_hours() -> None:
    pauses = [pause_after(failures) for failures in range(1, 1_000)]
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (5, 10, 20, 40)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=6)


def test_a_webhook_that_takes_nothing_for_three_days_is_disabled() -> None:
    state, now, attempts = WebhookState(portal="iel", cursor=7), NOW, 0
    while state.disabled_at is None:
        state = after_attempt(state, 7, AWAY, now)
        assert (state.cursor, state.failing_since) == (7, NOW)
        now, attempts = state.next_attempt_at or now, attempts + 1
        assert attempts < 100
    assert state.disabled_at - NOW >= PATIENCE
    assert state.disabled_at - NOW < PATIENCE + timedelta(hours=6)


def test_an_event_that_is_taken_ends_the_count_and_one_more_failure_begins_it_anew() -> None:
    failing = after_attempt(WebhookState(portal="iel", cursor=7), 7, AWAY, NOW)
    later = NOW + 2 * PATIENCE
    moved = after_attempt(failing, 8, AWAY, later)
    assert (moved.cursor, moved.failures, moved.failing_since, moved.disabled_at) == (8, 1, later, None)
    assert after_attempt(failing, 9, None, later) == WebhookState(portal="iel", cursor=9)


def test_a_portal_that_answers_410_is_sent_nothing_more() -> None:
    gone = WebhookFailure("status 410", gone=True)
    assert after_attempt(WebhookState(portal="iel", cursor=7), 7, gone, NOW).disabled_at == NOW


def test_each_secret_of_the_portal_verifies_the_headers_and_no_other_secret_does() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    sent = headers([key_of(old), key_of(new)], EVENT, int(datetime.now(UTC).timestamp()), BODY)
    for secret in (old, new):
        assert Verifier(secret).verify(BODY, dict(sent)) == json.loads(BODY)
    for secret, body in ((other, BODY), (new, BODY + b" ")):
        with pytest.raises(WebhookVerificationError):
            Verifier(secret).verify(body, dict(sent))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.5.4", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 nothing is bound to it
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::9.9.9.9", True),
        ("::127.0.0.1", False),
        ("fec0::1", False),
    ],
)
def test_only_public_addresses_are_connected_to(address: str, public: bool) -> None:
    assert is_public(address) == public


class _Parts(asyncio.StreamReader):
    """What a portal sends, a part at a time."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = [*parts]

    async def read(self, n: int = -1) -> bytes:
        return self._parts.pop(0)


WEBHOOK = Webhook(url="https://portail.example/parcours", secrets=(SecretStr(new_secret()),))
OK, REFUSED = (b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % status for status in (200, 500))
EARLY = b"HTTP/1.1 103 x\r\nlink: <a>\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "status", "may_go_on"),
    [
        ([OK], 200, True),
        ([EARLY, REFUSED], 500, True),
        ([EARLY + OK], 200, True),
        ([REFUSED + OK], 500, False),
        ([OK[:-2], OK[-2:] + REFUSED], 200, False),
        ([b"HTTP/1.1 200 x\r\n\r\nits end is that of", b" the connection", b""], 200, False),
        ([EARLY + b"HTTP/1.0 500 x\r\n\r\n", b""], 500, False),
    ],
)
async def test_an_answer_counts_for_its_own_event_alone(
    parts: list[bytes], status: int, *, may_go_on: bool
) -> None:
    answer = await _Connection("portail.example", _Parts(*parts), Mock()).ask(b"")
    assert (answer.status, answer.may_go_on) == (status, may_go_on)


class _Broken(asyncio.StreamReader):
    """A connection that the portal has reset."""

    def __init__(self) -> None:
        pass

    async def read(self, n: int = -1) -> bytes:
        raise ConnectionResetError("reset")


def kept(place: str, reader: asyncio.StreamReader) -> WebhookSender:
    sender = WebhookSender()
    sender._kept.append(_Connection(place, reader, Mock()))
    return sender


async def test_a_kept_connection_that_was_reset_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = kept("portail.example", _Broken())
    fresh = AsyncMock(return_value=_Connection("portail.example", _Parts(OK), Mock()))
    monkeypatch.setattr(sender, "_connect", fresh)
    assert await sender.send(WEBHOOK, UUID(int=1), b"") is None


async def test_an_answer_that_changes_the_protocol_is_a_failure() -> None:
    upgrade = b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    failure = await kept("portail.example", _Parts(upgrade, b"")).send(WEBHOOK, UUID(int=1), b"")
    assert failure is not None
    assert not failure.gone


async def test_a_slow_name_server_holds_one_thread_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = 0, 0

    async def slow(*_: Any, **__: Any) -> list[Any]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        raise OSError("no such host")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)
    sender = WebhookSender()
    failures = await asyncio.gather(*(sender.send(WEBHOOK, UUID(int=at), b"") for at in range(32)))
    assert (None in failures, most) == (False, 1)


def an_entry(**webhook: Any) -> dict[str, Any]:
    whole = {"url": "https://portail.example/parcours", "secrets": [new_secret()]} | webhook
    return {"portal": "iel", "issuer": "iel", "contact": "equipe@portail.example", "webhook": whole}


@pytest.mark.parametrize(
    "webhook",
    [
        {"url": "http://portail.example/parcours"},
        {"url": "https://user:password@portail.example/"},
        {"url": "https://portail.example/#part"},
        {"url": "file:///etc/passwd"},
        {"url": "https://portail..example/"},
        {"url": "https://portail.example:99999/"},
        {"url": "https://[portail]/"},
        {"url": "https://:443/parcours"},
        {"url": "https://portail.example:65536/"},
        {"url": "https://[::1/"},
        {"url": f"https://{'a' * 64}.example/"},
        {"secrets": []},
        {"secrets": ["whsec_c2hvcnQ="]},
        {"secrets": ["whsec_b25seS10by10cnktdGhpbmdzLW91dC1wb3J0YWwta2V5IQ=="]},
    ],
)
def test_a_webhook_has_an_https_address_without_password_and_secrets_of_its_own(
    webhook: dict[str, Any], tmp_path: Any
) -> None:
    path = tmp_path / "portals.json"
    path.write_text(json.dumps([an_entry()]))
    [portal] = registry.read(path, trial=False)
    assert portal.webhook is not None
    path.write_text(json.dumps([an_entry(**webhook)]))
    with pytest.raises(UnreadablePortals):
        registry.read(path, trial=False)


def test_a_webhook_needs_the_feed() -> None:
    with pytest.raises(ValueError, match="needs 'http'"):
        Portal.model_validate(an_entry() | {"answers": ["kafka"]})


def test_an_entry_is_written_with_the_secrets_of_its_webhook() -> None:
    portal = Portal.model_validate(an_entry())
    assert Portal.model_validate_json(portal.with_secrets()) == portal
