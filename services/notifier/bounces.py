"""Mails that come back: what a delivery report says, and which of our mails it is about. Pure.

Sources: RFC 3464 (reports), RFC 3463 (status codes). Reports come from anywhere and may hold anything: what
cannot be read is no report. A report is about the mail whose return path it was sent to (VERP): that address
holds the mail's id and a code that only we can make, so nobody can send back a mail that they did not get.
"""

import email
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from uuid import UUID

from shared.events.notifier import BounceKind

LARGEST = 1_000_000
"""Bytes of a report that are looked at; one that quotes a whole mail of ours is far below."""

_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_OUR_ID = re.compile(r"<([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})@[^<>\s]+>")
_SENT_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "To")

_THE_ADDRESS_IS_BAD = re.compile(r"5\.(1\.\d+|2\.1|4\.4)")
"""No such address, a closed mailbox, a domain that is not there. Other refusals (a full mailbox, 5.2.2; a
policy, 5.7.x; a size, 5.3.4) say nothing of the address, however final they are for that mail."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A mail of ours that came back. ``status`` is the RFC 3463 code, None where there was none."""

    mail_id: UUID
    kind: BounceKind
    status: str | None


class ReturnPath:
    """Where reports about each mail are sent: ``retours+<id>-<code>@cnfpt.example`` (VERP).

    ``address`` is the mailbox that takes them, which must accept a ``+`` detail. Of ``keys`` the last makes
    the codes, and those of all are accepted.
    """

    def __init__(self, address: str, keys: list[str]) -> None:
        self._local, _, self._domain = address.rpartition("@")
        self._keys = [key.encode() for key in keys]
        self._ours = re.compile(
            rf"{re.escape(self._local)}\+([0-9a-f]{{32}})-([0-9a-f]{{12}})@{re.escape(self._domain)}",
            re.IGNORECASE,
        )

    def of(self, mail_id: UUID) -> str:
        """The envelope's sender of a mail; its local part stays under 64 octets (RFC 5321, 4.5.3.1.1)."""
        return f"{self._local}+{mail_id.hex}-{self._codes(mail_id.hex)[-1]}@{self._domain}"

    def read(self, text: str) -> UUID | None:
        """The mail whose return path stands in ``text``."""
        for found in self._ours.finditer(text):
            codes = self._codes(found[1].lower())
            if any(hmac.compare_digest(found[2].lower(), code) for code in codes):
                return UUID(found[1])
        return None

    def _codes(self, mail_id: str) -> list[str]:
        about = b"return path " + mail_id.encode()
        return [hmac.new(key, about, hashlib.sha256).hexdigest()[:12] for key in self._keys]


def read(raw: bytes, path: ReturnPath | None) -> Bounce | None:
    """What a message to the return path says; None where it reports no failure of a mail of ours.

    Without ``path`` the mail is known by the Message-ID that the report quotes.
    """
    report = email.message_from_bytes(raw[:LARGEST])
    failure = _failure(report)
    if failure is None:
        return None
    mail_id = _by_return_path(report, path) if path is not None else _by_message_id(report)
    if mail_id is None:
        return None
    kind, status = failure
    return Bounce(mail_id, kind, status)


def _failure(report: Message) -> tuple[BounceKind, str | None] | None:
    """What the report says of its first recipient that was failed: ours have one each."""
    for fields in _recipients(report):
        if _header(fields, "Action").strip().lower() != "failed":
            continue  # delayed, delivered, relayed: nothing has come back
        found = _STATUS.search(_header(fields, "Status")) or _STATUS.search(
            _header(fields, "Diagnostic-Code")
        )
        status = found[0] if found else None
        bad = status is not None and _THE_ADDRESS_IS_BAD.fullmatch(status) is not None
        return (BounceKind.HARD if bad else BounceKind.SOFT), status
    return None


def _recipients(report: Message) -> Iterator[Message]:
    """The fields of each group of a delivery-status; the first is about the whole (RFC 3464, 2.1)."""
    for part in report.walk():
        if part.get_content_type() == "message/delivery-status":
            groups = part.get_payload()
            if isinstance(groups, list):
                yield from (group for group in groups if isinstance(group, Message))


def _by_return_path(report: Message, path: ReturnPath) -> UUID | None:
    for name in _SENT_TO:
        for value in report.get_all(name, []):
            mail_id = path.read(str(value))
            if mail_id is not None:
                return mail_id
    return None


def _by_message_id(report: Message) -> UUID | None:
    for part in report.walk():
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            payload = part.get_payload()
            quoted = (
                payload[0]
                if isinstance(payload, list) and payload
                else email.message_from_string(str(payload))
            )
            found = _OUR_ID.search(_header(quoted, "Message-ID")) if isinstance(quoted, Message) else None
            if found is not None:
                return UUID(found[1])
    return None


def _header(fields: Message, name: str) -> str:
    return str(fields.get(name, ""))


def digest_of(address: str) -> bytes:
    """What is kept of an address that mails come back from: enough to know it again, not to write to it."""
    return hashlib.sha256(address.strip().lower().encode(errors="replace")).digest()
