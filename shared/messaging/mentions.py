"""Whether a record names an agent, whatever it holds: for records that no contract could be read from."""

import base64
import hashlib
import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from shared.events.cloudevents import Record
from shared.events.topics import TOPICS, Topic
from shared.events.vocabulary import AgentKey

MAX_NAMES = 1_000
"""Of a record whose names are looked up: a group of 500 has 501."""
ANYBODY = "*"
"""Stands among the names of a record that is always read."""
_WORD = re.compile(rb"[\w-]+")
_INNER_WORD = re.compile(rb"(?<=[^\w-])[\w-]+(?=[^\w-])")
"""A word of an address that ends within it: what stands before and after the address is no part of it."""


def mentions(record: Record, agent: AgentKey | None, addresses: Collection[str], issuer: str | None) -> bool:
    """Return whether a record names the agent, or one of their addresses (in lower case).

    ``issuer`` is that of the portal that sent it: it issued the identifiers in it, whatever the record says.
    None: the record says who did; where it does not, every agent who has the identifier is meant. Several
    agents may share an address: what names another agent is theirs. What is no JSON is searched, key and
    headers too, for the identifier and the addresses as words. ``agent`` is None for somebody who is none:
    then only what names no agent, and an address of theirs, is meant.
    """
    raw = record.value or b""
    is_theirs = agent is not None and issuer in (None, agent.issuer)
    try:
        found = list(_objects(content_of(raw)))
    except (ValueError, RecursionError):
        return bool(_words_in(_searched(record), agent, addresses, issuer))
    if any(_is_agent(named, agent, issuer) or _says(named, addresses) for named in found):
        return True
    names_nobody = all(_identifier(named) is None for named in found)
    return agent is not None and is_theirs and names_nobody and _is_key_of(record, agent)


def names_in(record: Record, *, portal_is_known: bool) -> list[str] | None:
    """Return the names by which :func:`mentions` finds a record; None: it is no JSON, or has too many.

    A name is a digest, since what stands for an identifier may be of any length and of any characters. It has
    no key: the record stands beside it. ``portal_is_known``: who issued the identifiers is not for the record
    to say.
    """
    try:
        found = list(_objects(content_of(record.value)))
    except (ValueError, RecursionError):
        return None
    names: set[str] = set()
    for each in found:
        identifier = _identifier(each)
        if identifier is not None:
            issuer = "" if portal_is_known else each.get("issuer") or ""
            names.add(_agents_name(issuer, identifier))
        else:
            addresses = {text.strip().lower() for text in each.values() if isinstance(text, str)}
            names.update(_name("address", address) for address in addresses if "@" in address)
        if len(names) > MAX_NAMES:
            return None
    if record.key is not None and _is_agents_key(record) and all(_identifier(each) is None for each in found):
        names.add(_agents_name("", record.key.decode(errors="replace")))
    return sorted(names)


def words_in(record: Record) -> list[str]:
    """Return the names by which :func:`mentions` finds a record that is no JSON, one for each word."""
    raw = _searched(record)
    words = {b"", *_WORD.findall(raw), *_WORD.findall(raw.lower())}
    return sorted(_name("word", word.decode()) for word in words)


def names_of_agent(agent: AgentKey | None) -> list[str]:
    """Return the names of which a record has at least one if it names the agent by identifier."""
    if agent is None:
        return []
    word = max(_WORD.findall(agent.agent_id.encode()), key=len, default=b"")
    by_issuer = [_agents_name(issuer, agent.agent_id) for issuer in ("", agent.issuer)]
    return [*by_issuer, _name("word", word.decode())]


def names_of_addresses(addresses: Collection[str]) -> list[str]:
    """Return the names of which a record has at least one if it has one of the addresses (in lower case)."""
    words = [max(_INNER_WORD.findall(each.encode()), key=len, default=b"") for each in addresses]
    return [
        *(_name("address", address) for address in addresses),
        *(_name("word", word.decode()) for word in words),
    ]


def _agents_name(issuer: object, identifier: str) -> str:
    return _name("agent", f"{issuer}\0{identifier}")


def _name(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\0{value}".encode(errors="surrogatepass")).hexdigest()[:16]


def _is_agent(found: dict[str, Any], agent: AgentKey | None, issuer: str | None) -> bool:
    if agent is None:
        return False
    named = issuer or found.get("issuer") or agent.issuer
    return _identifier(found) == agent.agent_id and named == agent.issuer


def _identifier(found: dict[str, Any]) -> str | None:
    """Return whom an object of JSON names, also where no contract allows it: as a number, or with spaces."""
    match found.get("agent_id"):
        case str() as written:
            return written.strip() or None
        case bool():
            return None
        case int() as number:
            return str(number)
        case _:
            return None


def as_read_by(
    raw: bytes | str | None, agent: AgentKey | None, addresses: Collection[str], issuer: str | None
) -> str | None:
    """Return a value as the person may read it whom it names: others are left out of its JSON.

    What is no JSON, or too deep, has no parts: nobody knows of whom the rest is. Of it the person reads the
    words that name them.
    """
    try:
        return json.dumps(without_others(content_of(raw), agent, addresses, issuer), ensure_ascii=False)
    except (ValueError, RecursionError):
        words = raw.encode() if isinstance(raw, str) else raw or b""
        return " ".join(["…", *(f"{word} …" for word in _words_in(words, agent, addresses, issuer))])


def without_others(value: Any, agent: AgentKey | None, addresses: Collection[str], issuer: str | None) -> Any:
    """Return what JSON says without what it says of others, for a person to read.

    An object with an identifier or an address is about somebody: about the person where :func:`mentions`
    finds them in it.
    """
    match value:
        case dict() if (
            ("agent_id" in value or "email" in value)
            and not _is_agent(value, agent, issuer)
            and not _says(value, addresses)
        ):
            return {}
        case dict():
            return {name: without_others(held, agent, addresses, issuer) for name, held in value.items()}
        case list():
            return [without_others(item, agent, addresses, issuer) for item in value]
        case _:
            return value


def content_of(raw: bytes | str | None) -> Any:
    """Return the JSON of a value, with that of a structured CloudEvent's ``data_base64`` in its place.

    Raises ValueError or RecursionError where it is none.
    """
    content = json.loads(raw or b"null")
    if isinstance(content, dict) and isinstance(content.get("data_base64"), str):
        return content | {"data_base64": json.loads(base64.b64decode(content["data_base64"]))}
    return content


def agents_in(raw: bytes | str | None, issuer: str | None) -> list[AgentKey]:
    """Return the agents that a record names; the issuer is empty where nobody says who that is.

    ``issuer`` is that of the portal that sent it, as for :func:`mentions`.
    """
    try:
        found = list(_objects(content_of(raw)))
    except (ValueError, RecursionError):
        return []
    named = [
        AgentKey(str(issuer or each.get("issuer") or ""), identifier)
        for each in found
        if (identifier := _identifier(each)) is not None
    ]
    return list(dict.fromkeys(named))


def _says(found: dict[str, Any], addresses: Collection[str]) -> bool:
    return _identifier(found) is None and any(
        isinstance(value, str) and value.strip().lower() in addresses for value in found.values()
    )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON value, without going deeper in Python than one level."""
    left = [value]
    while left:
        match left.pop():
            case dict() as found:
                yield found
                left.extend(found.values())
            case list() as items:
                left.extend(items)


def _searched(record: Record) -> bytes:
    """Return where the words of a record are searched that is no JSON."""
    return b"\n".join(
        [record.value or b"", record.key or b"", *(value or b"" for _, value in record.headers)]
    )


def _is_key_of(record: Record, agent: AgentKey) -> bool:
    return _is_agents_key(record) and record.key == agent.agent_id.encode()


def _is_agents_key(record: Record) -> bool:
    return record.topic in set(Topic) and TOPICS[Topic(record.topic)].key == "agent_id"


def _has_word(value: bytes, word: str) -> bool:
    return re.search(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])", value) is not None


def _words_in(
    raw: bytes, agent: AgentKey | None, addresses: Collection[str], issuer: str | None
) -> list[str]:
    """Return the person's identifier and addresses, as far as they stand in what is no JSON."""
    lowered = raw.lower()
    found = [address for address in sorted(addresses) if address.encode() in lowered]
    if agent is None or issuer not in (None, agent.issuer) or not _has_word(raw, agent.agent_id):
        return found
    return [agent.agent_id, *found]
