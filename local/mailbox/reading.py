"""Parses one mail into header fields, texts and attachments. It does no I/O and never fails.

The standard library's modern policy raises on some headers of attackers, the old policy does not.
"""

import email
import email.policy
import re
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message

_UNSAFE_IN_A_FILE_NAME = re.compile(r"[^\w.()\- ]+")
_FAULTS = (ValueError, LookupError, TypeError, email.errors.MessageError)
_EXTENSIONS = {"text/calendar": "ics", "text/plain": "txt", "text/html": "html", "message/rfc822": "eml"}


@dataclass(frozen=True)
class ReadAttachment:
    number: int
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class ReadMail:
    """No field is safe to show as HTML."""

    fields: list[tuple[str, str]]
    text: str | None
    html: str | None
    attachments: list[ReadAttachment]

    def field(self, name: str) -> str:
        return next((value for key, value in self.fields if key.lower() == name.lower()), "")


def open_mail(raw: bytes) -> ReadMail:
    texts: dict[str, str] = {}
    attachments: list[ReadAttachment] = []
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    for number, part in enumerate(message.walk()):
        if part.is_multipart():
            continue
        media_type, content = part.get_content_type(), _content(part)
        attached = str(part.get("Content-Disposition", "")).strip().lower().startswith("attachment")
        if media_type in {"text/plain", "text/html"} and media_type not in texts and not attached:
            texts[media_type] = _decoded(part, content)
        else:
            name = _file_name(part) or f"partie-{number}.{_EXTENSIONS.get(media_type, 'bin')}"
            attachments.append(ReadAttachment(number, name, media_type, content))
    return ReadMail(header_fields(head_of(raw)), texts.get("text/plain"), texts.get("text/html"), attachments)


def head_of(raw: bytes) -> bytes:
    ends = [index for index in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if index >= 0]
    return raw[: min(ends)] if ends else raw


def first_fields(raw: bytes) -> dict[str, str]:
    return {name.lower(): value for name, value in reversed(header_fields(head_of(raw)))}


def header_fields(head: bytes) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    for line in head.replace(b"\r\n", b"\n").split(b"\n"):
        text = _as_text(line)
        if text[:1] in {" ", "\t"} and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {text.strip()}")
        elif ":" in text:
            name, _, value = text.partition(":")
            fields.append((name.strip(), value.strip()))
    return [(name, _header_text(value)) for name, value in fields]


def _as_text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _header_text(value: str) -> str:
    try:
        return str(make_header(decode_header(value))) if "=?" in value else value
    except _FAULTS:
        return value


def _content(part: Message) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except _FAULTS:
        content = None
    if isinstance(content, bytes):
        return content
    return str(part.get_payload()).encode(errors="surrogateescape")


def _decoded(part: Message, content: bytes) -> str:
    try:
        return content.decode(part.get_content_charset() or "utf-8", errors="replace")
    except _FAULTS:
        return _as_text(content)


def _file_name(part: Message) -> str:
    try:
        name = part.get_filename() or ""
    except _FAULTS:
        name = ""
    return _UNSAFE_IN_A_FILE_NAME.sub("_", _header_text(name)).strip("._ ")[:120]
