"""Whether a record names an agent, whatever it holds: for records that no contract could be read from."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from shared.events.cloudevents import Record
from shared.events.topics import TOPICS, Topic
from shared.events.vocabulary import AgentKey


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
        found = list(_objects(json.loads(raw or b"null")))
    except (ValueError, RecursionError):
        words = b"\n".join([raw, record.key or b"", *(value or b"" for _, value in record.headers)])
        has_id = agent is not None and is_theirs and _has_word(words, agent.agent_id)
        return has_id or _has_address(words, addresses)
    if any(_is_agent(named, agent, issuer) or _says(named, addresses) for named in found):
        return True
    names_nobody = not any("agent_id" in named for named in found)
    return agent is not None and is_theirs and names_nobody and _is_key_of(record, agent)


def _is_agent(found: dict[str, Any], agent: AgentKey | None, issuer: str | None) -> bool:
    if agent is None:
        return False
    named = issuer or found.get("issuer") or agent.issuer
    return found.get("agent_id") == agent.agent_id and named == agent.issuer


def without_others(value: Any, agent: AgentKey | None, issuer: str | None) -> Any:
    """Return what a record says without what it says of other agents, for a person to read."""
    match value:
        case dict() if "agent_id" in value and not _is_agent(value, agent, issuer):
            return {}
        case dict():
            return {name: without_others(held, agent, issuer) for name, held in value.items()}
        case list():
            return [without_others(item, agent, issuer) for item in value]
        case _:
            return value


def agents_in(raw: bytes | str | None, issuer: str | None) -> list[AgentKey]:
    """Return the agents that a record names; the issuer is empty where nobody says who that is.

    ``issuer`` is that of the portal that sent it, as for :func:`mentions`.
    """
    try:
        found = list(_objects(json.loads(raw or b"null")))
    except (ValueError, RecursionError):
        return []
    named = [
        AgentKey(str(issuer or each.get("issuer") or ""), each["agent_id"])
        for each in found
        if isinstance(each.get("agent_id"), str)
    ]
    return list(dict.fromkeys(named))


def _says(found: dict[str, Any], addresses: Collection[str]) -> bool:
    return "agent_id" not in found and any(
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


def _is_key_of(record: Record, agent: AgentKey) -> bool:
    known = record.topic in set(Topic) and TOPICS[Topic(record.topic)].key == "agent_id"
    return known and record.key == agent.agent_id.encode()


def _has_word(value: bytes, word: str) -> bool:
    return re.search(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])", value) is not None


def _has_address(value: bytes, addresses: Collection[str]) -> bool:
    lowered = value.lower()
    return any(address.encode() in lowered for address in addresses)
