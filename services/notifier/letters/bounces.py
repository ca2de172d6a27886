"""Reads delivery reports about returned mails (RFC 3464, RFC 3463). Pure.

Anyone can send a report, so only a report about one of our mails is parsed.

Each mail has its own return path (VERP) with the mail's id and a code that only we can make. A report counts
only if it names that mail's recipient: otherwise any recipient could stop any address.
"""

import email
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.parser import BytesHeaderParser
from uuid import UUID

from services.notifier.return_path import ReturnPath
from shared.events.notifier import BounceKind

ADDRESS_KEY = "address_key"
RETURNED = "mails to this address came back: it is written to no more"

LARGEST = 200_000
"""A report that quotes a whole mail is far smaller."""
LARGEST_HEAD = 64_000
MAX_PARTS = 20
"""Our reports have three. Python's parser recurses once for each multipart, on every line."""

LONGEST_CONTENT_TYPE = 2_000
"""Python's parser takes quadratic time for the quotes of a Content-Type."""

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_BOUNDARY = re.compile(rb"boundary", re.IGNORECASE)
_LONG_CONTENT_TYPE = re.compile(
    rb"(?:\A|[\r\n])content-type:(?:[^\r\n]|(?:\r\n|\r|\n)[ \t]){%d}" % LONGEST_CONTENT_TYPE, re.IGNORECASE
)
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_STATUS_IN_AN_ANSWER = re.compile(r"smtp;\s*\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b", re.IGNORECASE)
_SENT_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "To")

_THE_ADDRESS_IS_BAD = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4"}
"""No such address or domain, a moved address, a closed mailbox.

Other refusals do not concern the address: a full mailbox (5.2.2), a policy (5.7.x), a size (5.3.4), or a
fault of the sender (5.1.7, 5.1.8).
"""


@dataclass(frozen=True, slots=True)
class Bounce:
    mail_id: UUID
    recipient: str
    kind: BounceKind
    status: str | None


@dataclass(frozen=True, slots=True)
class Suppression:
    mail_id: UUID
    issuer: str | None
    agent_id: str | None
    kind: BounceKind
    since: datetime


def read(raw: bytes, path: ReturnPath) -> Bounce | None:
    """Return the bounce that a message reports, or None if it reports no failure of our mails."""
    raw = raw[:LARGEST]
    end = _END_OF_HEAD.search(raw, 0, LARGEST_HEAD)
    if end is None:
        return None
    head = BytesHeaderParser().parsebytes(raw[: end.start()])
    mail_id = _by_return_path(head, path)
    if head.get_content_type() != "multipart/report" or mail_id is None:
        return None
    if len(_BOUNDARY.findall(raw)) > MAX_PARTS or _LONG_CONTENT_TYPE.search(raw) is not None:
        return None
    try:
        fields = _failed(email.message_from_bytes(raw))
    except Exception:  # noqa: BLE001 Python's parser raises many errors on odd parameters and charsets
        return None
    if fields is None:
        return None
    status = _status(fields)
    kind = BounceKind.HARD if status in _THE_ADDRESS_IS_BAD else BounceKind.SOFT
    return Bounce(mail_id, _recipient(fields), kind, status)


def bad_address_in(answer: str) -> str | None:
    """Return the RFC 3463 code of a refusal if it says that the address is bad, else None."""
    found = _STATUS.match(answer)
    return found[0] if found is not None and found[0] in _THE_ADDRESS_IS_BAD else None


def _failed(report: Message) -> Message | None:
    """Our mails have one recipient each."""
    for fields in _recipients(report):
        if _header(fields, "Action").strip().lower() == "failed":
            return fields  # a delayed, delivered or relayed mail has not come back
    return None


def _recipient(fields: Message) -> str:
    """Read ``rfc822; zoe@ville.example``, or ``utf-8; …`` (RFC 6533)."""
    return _header(fields, "Final-Recipient").partition(";")[2].strip().strip("<>")


def _status(fields: Message) -> str | None:
    """Without the field, read the code at the start of the other server's answer."""
    found = _STATUS.search(_header(fields, "Status"))
    if found is not None:
        return found[0]
    answered = _STATUS_IN_AN_ANSWER.match(_header(fields, "Diagnostic-Code"))
    return None if answered is None else answered[1]


def _recipients(report: Message) -> Iterator[Message]:
    """The first group of fields is about the whole (RFC 3464, 2.1)."""
    for part in report.walk():
        if part.get_content_type() == "message/delivery-status":
            groups = part.get_payload()
            if isinstance(groups, list):
                yield from (group for group in groups if isinstance(group, Message))


def _by_return_path(head: Message, path: ReturnPath) -> UUID | None:
    for name in _SENT_TO:
        for value in head.get_all(name, []):
            mail_id = path.read(str(value))
            if mail_id is not None:
                return mail_id
    return None


def _header(fields: Message, name: str) -> str:
    return str(fields.get(name, ""))


def digest_of(address: str, key: bytes) -> bytes:
    """Without the installation's ``key``, nobody can try addresses against the digests."""
    return hmac.digest(key, address.strip().lower().encode(errors="replace"), "sha256")
