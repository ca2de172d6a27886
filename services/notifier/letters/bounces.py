"""Mails that come back: what a delivery report says, and which of our mails it is about. Pure.

Sources: RFC 3464 (reports), RFC 3463 (status codes). Reports come from anywhere and may hold anything: what
cannot be read is no report, and a body is only taken apart when its head says that it is a report about a
mail of ours, and when it has no more parts than one can have.

A report is about the mail whose return path it was sent to (VERP): that address holds the mail's id and a
code that only we can make, so nobody can send back a mail that they did not get. It counts only where it says
that this mail's recipient failed: who has the mail can end no other address.
"""

import email
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.parser import BytesHeaderParser
from uuid import UUID

from shared.events.notifier import BounceKind

ADDRESS_KEY = "address_key"
"""The key, in the ``info`` of a database, of the secret that digests of addresses are made with."""
RETURNED = "mails to this address came back: it is written to no more"
"""Why a letter was not tried."""

LARGEST = 200_000
"""Bytes of a report that are looked at; one that quotes a whole mail of ours is far below."""
LARGEST_HEAD = 64_000
MAX_PARTS = 20
"""Multiparts in a message; a report that quotes a mail of ours has three. Python's parser goes down one level
for each, and does it for every line."""

LONGEST_CONTENT_TYPE = 2_000
"""Characters of a Content-Type; the boundary in it has 70 at most (RFC 2046, 5.1.1). Python's parser counts
the quotes before each semicolon anew."""

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_BOUNDARY = re.compile(rb"boundary\*?\d*\*?\s*=", re.IGNORECASE)
_LONG_CONTENT_TYPE = re.compile(
    rb"(?:\A|[\r\n])content-type:(?:[^\r\n]|(?:\r\n|\r|\n)[ \t]){%d}" % LONGEST_CONTENT_TYPE, re.IGNORECASE
)
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_STATUS_IN_AN_ANSWER = re.compile(r"smtp;\s*\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b", re.IGNORECASE)
LONGEST_RETURN = 18
"""Characters before the @ of the mailbox: with ``+``, the id and its code a local part of 64 octets at most
(RFC 5321, 4.5.3.1.1); a longer one would make every mail's envelope illegal."""
_SENT_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "To")

_THE_ADDRESS_IS_BAD = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4"}
"""No such address, one that moved, a closed mailbox, a domain that is not there. Other refusals say nothing
of the address, however final for that mail: a full mailbox (5.2.2), a policy (5.7.x), a size (5.3.4), and
above all a fault of the sender (5.1.7, 5.1.8): a day without our domain must not end every address."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A mail of ours that came back. ``status`` is the RFC 3463 code, None where there was none.

    ``recipient`` is the address that failed, as the report has it.
    """

    mail_id: UUID
    recipient: str
    kind: BounceKind
    status: str | None


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that is written to no more, by the mail that came back."""

    mail_id: UUID
    issuer: str | None
    agent_id: str | None
    kind: BounceKind
    since: datetime


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
        """The envelope's sender of a mail; with `LONGEST_RETURN` its local part has 64 octets at most."""
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


def read(raw: bytes, path: ReturnPath) -> Bounce | None:
    """What a message to the return path says; None where it reports no failure of a mail of ours."""
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
    except Exception:  # noqa: BLE001 Python's parser fails on odd parameters and charsets in many ways
        return None
    if fields is None:
        return None
    status = _status(fields)
    kind = BounceKind.HARD if status in _THE_ADDRESS_IS_BAD else BounceKind.SOFT
    return Bounce(mail_id, _recipient(fields), kind, status)


def bad_address_in(answer: str) -> str | None:
    """The RFC 3463 code that a refusal of a recipient begins with, where it says that the address is bad."""
    found = _STATUS.match(answer)
    return found[0] if found is not None and found[0] in _THE_ADDRESS_IS_BAD else None


def _failed(report: Message) -> Message | None:
    """The fields of the first recipient that was failed: mails of ours have one each."""
    for fields in _recipients(report):
        if _header(fields, "Action").strip().lower() == "failed":
            return fields  # not delayed, delivered, relayed: then nothing has come back
    return None


def _recipient(fields: Message) -> str:
    """The address of ``rfc822; zoe@ville.example``; of ``utf-8; …`` (RFC 6533) too: ours are ASCII."""
    return _header(fields, "Final-Recipient").partition(";")[2].strip().strip("<>")


def _status(fields: Message) -> str | None:
    """The field's, else the one that the other server's answer begins with; never digits of its words."""
    found = _STATUS.search(_header(fields, "Status"))
    if found is not None:
        return found[0]
    answered = _STATUS_IN_AN_ANSWER.match(_header(fields, "Diagnostic-Code"))
    return None if answered is None else answered[1]


def _recipients(report: Message) -> Iterator[Message]:
    """The fields of each group of a delivery-status; the first is about the whole (RFC 3464, 2.1)."""
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
    """What is kept of an address that mails come back from: enough to know it again, not to write to it.

    ``key`` is a secret of the installation: who has the digests alone cannot try addresses.
    """
    return hmac.digest(key, address.strip().lower().encode(errors="replace"), "sha256")
