"""Signatures: what the contract's example gives, and what a key must be."""

import base64
import subprocess

import pytest

from shared.messaging.portals.signatures import (
    BadSecret,
    SignedAttributes,
    is_signature_of,
    key_of,
    new_secret,
    sign,
)
from tests.support import lacking

SECRET = "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM="
EVENT = SignedAttributes(
    event_id="5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11",
    source="/portals/iel",
    event_type="fr.cnfpt.portal.WithdrawalRequested.v1",
    time="2026-11-25T08:30:00Z",
)
VALUE = b'{"session_id":"6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11","agent_id":"IEL-0048151"}'
SIGNATURE = "v1,kLlrbAPvxvGcaSwpm+f4kE6oitj09AtRuiFnKFeyNm4="
"""The example of the contract, to the letter: portals are built against it."""


def test_the_example_of_the_contract_has_the_signature_that_it_says() -> None:
    assert sign(key_of(SECRET), "2026-11", EVENT, VALUE) == SIGNATURE
    assert is_signature_of(SIGNATURE, key_of(SECRET), "2026-11", EVENT, VALUE)


def test_openssl_makes_the_same_signature() -> None:
    attributes = f"v1\n2026-11\n{EVENT.event_id}\n{EVENT.source}\n{EVENT.event_type}\n{EVENT.time}\n"
    content = attributes.encode() + VALUE
    openssl = lacking.program("openssl", package="openssl")
    key = f"hexkey:{key_of(SECRET).hex()}"
    command = [openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", key]
    made = subprocess.run([*command, "-binary"], input=content, capture_output=True, check=True)
    assert f"v1,{base64.b64encode(made.stdout).decode()}" == SIGNATURE


@pytest.mark.parametrize("changed", ["event_id", "source", "event_type", "time", "key_id", "value", "key"])
def test_a_signature_holds_for_every_part_of_what_was_signed(changed: str) -> None:
    attributes = {name: getattr(EVENT, name) + ("x" if changed == name else "") for name in EVENT.__slots__}
    assert not is_signature_of(
        SIGNATURE,
        b"x" * 32 if changed == "key" else key_of(SECRET),
        "2026-12" if changed == "key_id" else "2026-11",
        SignedAttributes(**attributes),
        VALUE + b" " if changed == "value" else VALUE,
    )


@pytest.mark.parametrize("signature", ["", "v1,", SIGNATURE[3:], SIGNATURE[:-1], f"v2,{SIGNATURE[3:]}", "é"])
def test_a_signature_of_another_form_is_none(signature: str) -> None:
    assert not is_signature_of(signature, key_of(SECRET), "2026-11", EVENT, VALUE)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (SECRET.removeprefix("whsec_"), "begins with whsec_"),
        ("whsec_not base64 at all!", "is not base64"),
        (SECRET.rstrip("="), "is not base64"),
        (f"whsec_{base64.b64encode(b'x' * 23).decode()}", "this one for 23"),
        (f"whsec_{base64.b64encode(b'x' * 65).decode()}", "this one for 65"),
    ],
)
def test_what_is_no_secret_is_refused_and_never_quoted(secret: str, why: str) -> None:
    with pytest.raises(BadSecret, match=why) as refused:
        key_of(secret)
    assert secret not in str(refused.value)


def test_a_new_secret_is_new_and_valid() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(key_of(first)) == 32
