"""A mail as bytes: headers and parts, safe for any text.

``EmailMessage`` makes only about 300 mails a second, and decodes an encoded-word from outside into the
header, line breaks included (CVE-2024-6923). Here control characters and encoded-words are removed first.
Sources: RFC 5322, 2047, 2045, 2046.
"""

import base64
import binascii
import email.utils
import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import idna

_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)

_SPACES = re.compile(r"\s+")
_PLAIN = re.compile(r"[ -~]*")
_WORD_BYTES = 45
"""Bytes in one encoded-word, so that it stays under 75 characters (RFC 2047, 2)."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The relay gets ``address``."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class InlineImage:
    """A PNG that the HTML shows by ``cid:`` and ``content_id``."""

    content_id: str
    body: bytes


class UnsendableAddress(ValueError):
    pass


def one_line(text: str) -> str:
    return _SPACES.sub(" ", _CONTROLS.sub(" ", text)).strip()


def clean(text: str) -> str:
    """Return one line without controls or encoded-words."""
    line = one_line(text)
    return line.replace("=?", "= ?").replace("?=", "? =")


def wire_address(address: str) -> str:
    """Return the address with its domain in IDNA form. Raises :class:`UnsendableAddress`.

    If it still is not ASCII, the relay must offer SMTPUTF8 (RFC 6531, RFC 6532).
    """
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    try:
        # IDNA 2008. Python's own codec implements IDNA 2003, where a domain with ß becomes another domain.
        wire = f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}"
        octets = len(local.encode())
    except UnicodeError:
        raise UnsendableAddress("this is not an address") from None
    if not at or octets > 64 or not _ADDRESS.fullmatch(wire):
        raise UnsendableAddress("this is not an address")
    return wire


def ascii_address(address: str) -> str:
    """Return an address for every relay. Raises :class:`UnsendableAddress`."""
    wire = wire_address(address)
    if not wire.isascii():
        raise UnsendableAddress("the address has letters that not every relay takes")
    return wire


_ADDRESS = re.compile(
    r'[^\s@<>()\[\],;:\\"\x00-\x20\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+'
    r"@[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?"
)


@functools.lru_cache(maxsize=1_000)
def unstructured(text: str) -> str:
    line = clean(text)
    if _PLAIN.fullmatch(line):
        return _fold(line.split(" "))
    return _encoded_words(line)


def mailbox(box: Mailbox) -> str:
    name = clean(box.name)
    if not name:
        return f"<{box.address}>"
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if len(quoted) > 60 or not _PLAIN.fullmatch(name):
        quoted = _encoded_words(name)
    return f"{quoted}\r\n <{box.address}>"


@functools.lru_cache(maxsize=100)  # many mails are written in one second
def date(moment: datetime) -> str:
    return email.utils.format_datetime(moment)


def message(
    headers: Sequence[tuple[str, str]],
    *,
    text: str,
    html: str,
    calendars: Sequence[Attachment],
    boundary: str,
    image: InlineImage | None = None,
) -> bytes:
    """Return the mail with CRLF line ends. ``headers`` have values made by the functions above.

    The first calendar is an alternative to the text. The others are attachments, because a mail program shows
    only one alternative. ``boundary`` begins with ``=_``, so that no encoded text can contain it.
    """
    lines = [f"{name}: {value}" for name, value in headers]
    lines += ["MIME-Version: 1.0", ""]
    head = "\r\n".join(lines).encode()  # only an address that needs SMTPUTF8 is not ASCII
    alternatives = _alternatives(text, _html_part(html, image, boundary), calendars[:1], boundary)
    if len(calendars) < 2:
        return head + alternatives
    outer = boundary.replace("=_", "=_m")
    separator = f"--{outer}\r\n".encode("ascii")
    parts = [head, f'Content-Type: multipart/mixed; boundary="{outer}"\r\n\r\n'.encode("ascii")]
    parts += [separator, alternatives]
    for calendar in calendars[1:]:
        parts += [separator, b"Content-Disposition: attachment\r\n", _base64_part(calendar)]
    parts.append(f"--{outer}--\r\n".encode("ascii"))
    return b"".join(parts)


def _html_part(html: str, image: InlineImage | None, boundary: str) -> bytes:
    page = (
        b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + _quoted_printable(html)
    )
    if image is None:
        return page
    inner = boundary.replace("=_", "=_r")
    separator = f"--{inner}\r\n".encode("ascii")
    head = f'Content-Type: multipart/related; boundary="{inner}"; type="text/html"\r\n\r\n'.encode("ascii")
    shown = f"Content-ID: <{image.content_id}>\r\nContent-Disposition: inline\r\n".encode("ascii")
    return b"".join(
        (
            head,
            separator,
            page,
            separator,
            shown,
            _base64_part(Attachment("image/png", image.body)),
            f"--{inner}--\r\n".encode("ascii"),
        )
    )


def _alternatives(text: str, html: bytes, calendars: Sequence[Attachment], boundary: str) -> bytes:
    """A mail program shows the last alternative that it understands."""
    separator = f"--{boundary}\r\n".encode("ascii")
    parts = [
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'.encode("ascii"),
        separator,
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
        _quoted_printable(text),
        separator,
        html,
    ]
    for calendar in calendars:
        parts += [separator, _base64_part(calendar)]
    parts.append(f"--{boundary}--\r\n".encode("ascii"))
    return b"".join(parts)


def _base64_part(attachment: Attachment) -> bytes:
    head = f"Content-Type: {attachment.content_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode("ascii") + base64.encodebytes(attachment.body).replace(b"\n", b"\r\n")


def _quoted_printable(text: str) -> bytes:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    return b"".join(map(_quoted_line, lines))


@functools.lru_cache(maxsize=2_000)  # most lines of a letter are the same for many readers
def _quoted_line(line: str) -> bytes:
    """Strip blanks at the end: b2a_qp would make lines of 77 characters of them."""
    octets = line.rstrip(" \t").encode(errors="replace")
    return binascii.b2a_qp(octets, istext=True).replace(b"\n", b"\r\n") + b"\r\n"


def _fold(tokens: Sequence[str]) -> str:
    """A long word may exceed the 76 characters of a line."""
    lines: list[str] = []
    current = ""
    for token in tokens:
        if current and len(current) + 1 + len(token) > 60:
            lines.append(current)
            current = token
        else:
            current = f"{current} {token}" if current else token
    lines.append(current)
    return "\r\n ".join(lines)


def _encoded_words(line: str) -> str:
    """Never cut inside a character (RFC 2047, 5)."""
    pieces: list[bytes] = []
    current = b""
    for character in line:
        encoded = character.encode()
        if len(current) + len(encoded) > _WORD_BYTES:
            pieces.append(current)
            current = encoded
        else:
            current += encoded
    pieces.append(current)
    encoded_pieces = (binascii.b2a_base64(piece, newline=False).decode() for piece in pieces)
    return "\r\n ".join(f"=?utf-8?b?{piece}?=" for piece in encoded_pieces)
