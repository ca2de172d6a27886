"""Whether a record mentions a person, which agents it names, and what of it one person may read.

Encoded text (base64, escapes of JSON, UTF-16) is not searched: such a record ends with its retention (ADR
0032).
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from shared.events.cloudevents import Record
from shared.events.topics import TOPICS, is_of_portals
from shared.events.vocabulary import AgentKey
from shared.personal_data import Subject

_SHORT = 2
"""So short an identifier is part of many texts. It counts only as a whole text."""


def mentions(record: Record, subject: Subject, issuer: str | None) -> bool:
    """Return whether the person's identifier or address is in the record's key, value or headers.

    ``issuer`` is the issuer of the portal that sent the record. If it is None, the record may name an issuer
    itself. Several agents may share an address, so in an object with an identifier the address belongs to
    that agent.
    """
    value = _text(record.value)
    around = _texts_around(record)
    if subject.agent is not None and _names(subject.agent, record, [value, *around], issuer):
        return True
    if any(_has_address(text, subject.addresses) for text in around):
        return True
    if not _has_address(value, subject.addresses):
        return False
    having = _objects_with(record.value, subject.addresses)
    return not having or any(_identifier(found) is None for found in having)


def has_address(record: Record, address: str) -> bool:
    """Return whether the address is in the record's key, value or headers."""
    return any(_has_address(text, {address}) for text in [_text(record.value), *_texts_around(record)])


def agents_in(raw: bytes | str | None, issuer: str | None, address: str | None = None) -> list[AgentKey]:
    """Return the agents in a JSON value, each once; with an address, the agents with that address.

    ``issuer`` is the issuer of the portal that sent the value. If it is None, the value may name the issuer
    of an identifier; otherwise the issuer in the result is empty.
    """
    found = _objects_in(raw) if address is None else _objects_with(raw, {address})
    named = (
        AgentKey(str(issuer or each.get("issuer") or ""), identifier)
        for each in found
        if (identifier := _identifier(each)) is not None
    )
    # A log of reads cannot store a NUL or half a surrogate pair.
    return list(dict.fromkeys(agent for agent in named if "".join(agent).isprintable()))


def as_read_by(raw: bytes | str | None, subject: Subject, issuer: str | None) -> str:
    """Return a value for the person: objects about other people are empty.

    Returns "…" if the value is no JSON, because any part of it may be about other people.
    """
    try:
        return json.dumps(_without_others(json.loads(raw or b"null"), subject, issuer), ensure_ascii=False)
    except (ValueError, RecursionError):
        return "…"


def _without_others(value: Any, subject: Subject, issuer: str | None) -> Any:
    match value:
        case dict() if ("agent_id" in value or "email" in value) and not _is_about(value, subject, issuer):
            return {}
        case dict():
            return {name: _without_others(held, subject, issuer) for name, held in value.items()}
        case list():
            return [_without_others(item, subject, issuer) for item in value]
        case _:
            return value


def _is_about(found: dict[str, Any], subject: Subject, issuer: str | None) -> bool:
    """Return whether a JSON object has the person's identifier, or no identifier and their address."""
    identifier = _identifier(found)
    if identifier is None:
        return _holds_address(found, subject.addresses)
    agent = subject.agent
    return agent is not None and agent == (issuer or found.get("issuer") or agent.issuer, identifier)


def _names(agent: AgentKey, record: Record, texts: Collection[str], issuer: str | None) -> bool:
    if issuer is None:
        issuers = {issuer for text in texts for issuer in re.findall(r'"issuer"\s*:\s*"([^"]+)"', text)}
        if issuers and agent.issuer not in issuers:
            return False
        if not issuers and not is_of_portals(record.topic):
            return _is_agent_of_event(agent, record)
    elif issuer != agent.issuer:
        return False
    texts = [text for text in texts if agent.agent_id in text]  # the patterns below are slow to find nothing
    written = re.escape(agent.agent_id)
    if len(agent.agent_id) <= _SHORT:
        word = re.compile(rf'(?:\A|")\s*{written}\s*(?:"|\Z)')
    else:
        word = re.compile(rf"(?<![\w-]){written}(?![\w-])", re.ASCII)
    return any(word.search(text) for text in texts)


def _is_agent_of_event(agent: AgentKey, record: Record) -> bool:
    """A portal chooses its identifiers: any other word of a service's event could be one."""
    keyed = {topic.value for topic, settings in TOPICS.items() if settings.key == "agent_id"}
    if record.topic in keyed and _text(record.key) == agent.agent_id:
        return True
    field = rf'"agent_id"\s*:\s*{re.escape(json.dumps(agent.agent_id))}'
    return re.search(field, _text(record.value)) is not None


def _has_address(text: str, addresses: Collection[str]) -> bool:
    """The address may be in any case, but not part of another address."""
    lowered = text.lower()
    return any(
        address in lowered
        and re.search(rf"(?<![\w.%+-]){re.escape(address)}(?![\w-]|\.\w)", lowered) is not None
        for address in addresses
    )


def _holds_address(found: dict[str, Any], addresses: Collection[str]) -> bool:
    return any(isinstance(value, str) and _has_address(value, addresses) for value in found.values())


def _text(content: bytes | None) -> str:
    return (content or b"").decode(errors="surrogateescape")


def _texts_around(record: Record) -> list[str]:
    headers = [text for name, value in record.headers for text in (name, _text(value))]
    return [_text(record.key), *headers]


def _objects_with(raw: bytes | str | None, addresses: Collection[str]) -> list[dict[str, Any]]:
    return [found for found in _objects_in(raw) if _holds_address(found, addresses)]


def _objects_in(raw: bytes | str | None) -> Iterator[dict[str, Any]]:
    """Without recursion, yield the objects of a JSON value; none if it is no JSON."""
    try:
        left = [json.loads(raw or b"null")]
    except (ValueError, RecursionError):
        return
    while left:
        match left.pop():
            case dict() as found:
                yield found
                left.extend(found.values())
            case list() as items:
                left.extend(items)


def _identifier(found: dict[str, Any]) -> str | None:
    """Accept identifiers that break the contract too: a number, or with spaces."""
    identifier = found.get("agent_id")
    return str(identifier).strip() or None if isinstance(identifier, str | int) else None
