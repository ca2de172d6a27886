"""Whether a record names an agent, whatever it holds: for records that no contract could be read from."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain, pairwise
from typing import Any, NamedTuple

from shared.events.cloudevents import Record
from shared.events.vocabulary import AgentKey

MAX_NAMES = 4_000
"""Of a record whose names are looked up: a group of 500 has about 1,600, three words for each agent."""
MAX_VALUES = 100_000
"""Commas of a record whose names are looked up, those of what is JSON in it too, @ and :data:`OF_TEXT`: to
look at 2 MB takes half a second of computing at most."""
OF_TEXT = 4
"""How many values a string counts for that may be JSON, and what may be base64: to read it takes as long."""
MAX_WORDS = 200_000
"""Words and addresses, the same one counted each time, of a record whose names are looked up: those of key,
headers and names of members too."""
ANYBODY = "*"
"""Stands among the names of a record that is always read."""
_WORD = re.compile(r"[\w-]+", re.ASCII)
_INNER_WORD = re.compile(r"(?<=[^\w-])[\w-]+(?=[^\w-])", re.ASCII)
"""A word of an address that ends within it: what stands before and after the address is no part of it."""
_PART = re.compile(r"[^\s\x00\"<>()\[\],;:\\?&=|{}]+")
"""What may be an address in a text, with what stands around it in prose."""
_LONGEST = 320
"""Characters of an address, at most."""
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_SHORT = 2
"""Identifiers of so many characters are words of much: within a longer text of JSON they name nobody."""
_DEPTH = 4
"""How often JSON is looked for in a string of JSON."""
_BEGINNINGS = ("{", "[", '"')
"""Of a string that may be JSON with texts: an object, a list or a string."""


class _Members(list[tuple[str, Any]]):
    """An object of JSON as it was written: a name may come twice."""


_TELLING = frozenset((str, list, _Members))
"""What has a text; a number has one where it stands for an identifier."""


class _Passage(NamedTuple):
    """A text of a record, and of whom it is as far as the object says in which it stands.

    ``issuer``: who issued the identifiers there, empty where it says nothing. ``identifiers``: those that
    the object has, so that an address there is that agent's. ``is_raw``: it is no JSON.
    """

    text: str
    issuer: str = ""
    identifiers: tuple[str, ...] = ()
    is_raw: bool = False

    def names(self, identifier: str) -> bool:
        if identifier not in self.text:
            return False
        is_whole = self.text.strip() == identifier
        return is_whole or ((self.is_raw or len(identifier) > _SHORT) and _has_word(self.text, identifier))

    def with_text(self, text: str) -> Iterator["_Passage"]:
        """Yield passages with this text, in the same place: one for each way to read the text."""
        yield self._replace(text=text)
        if "\0" in text or "\\u" in text:  # broken UTF-16, or escapes of broken JSON
            read = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text.replace("\0", ""))
            yield self._replace(text=read)

    def has_any(self, addresses: AbstractSet[str]) -> bool:
        if self.is_raw:
            lowered = self.text.lower()
            return any(address in lowered for address in addresses)
        return "@" in self.text and any(found in addresses for found in self.addresses())

    def addresses(self) -> Iterator[str]:
        """Yield what may be an address in a text of JSON, in lower case."""
        lowered = self.text.strip().lower()
        if "@" not in lowered:
            return
        if len(lowered) <= _LONGEST:
            yield lowered
        for found in _PART.finditer(lowered):
            if "@" in found[0]:
                for before, after in pairwise(found[0].split("@")):
                    if before and after and len(before) + len(after) < _LONGEST:
                        yield f"{before}@{after}"
                        yield f"{before}@{after}".strip(".!'*`’‘«»")

    def found_by(self) -> Iterator[tuple[str, str]]:
        """Yield by what the text is found."""
        if self.is_raw:
            yield "raw", ""
        for word in _WORD.finditer(self.text.lower()):
            yield "word", word[0]
            if self.is_raw:
                yield "raw", word[0]
        if not self.is_raw:
            for address in self.addresses():
                yield "address", address


def mentions(record: Record, agent: AgentKey | None, addresses: AbstractSet[str], issuer: str | None) -> bool:
    """Return whether a record names the agent, or one of their addresses (in lower case).

    Looked at are all texts of its JSON, names too, with what is JSON in them; of what is no JSON, the whole.
    ``issuer`` is that of the portal that sent it: it issued the identifiers in it, whatever the record says.
    None: the record says who did; where it does not, every agent who has the identifier is meant. Several
    agents may share an address: what names another agent is theirs. ``agent`` is None for somebody who is
    none: then only what names no agent, and an address of theirs, is meant.
    """
    is_theirs = agent is not None and issuer in (None, agent.issuer)
    of_another = False
    for passage in _passages_in(record.value):
        if not passage.identifiers and passage.has_any(addresses):
            return True
        if agent is not None and is_theirs and passage.names(agent.agent_id):
            if issuer is not None or passage.issuer in ("", agent.issuer):
                return True
            of_another = True
    around = list(_passages_around(record))
    if any(passage.has_any(addresses) for passage in around):
        return True
    # Where the value says that it is another issuer's agent, so is that of the key.
    return (
        agent is not None
        and is_theirs
        and not of_another
        and any(passage.names(agent.agent_id) for passage in around)
    )


def agents_with(record: Record, address: str, issuer: str | None) -> list[AgentKey] | None:
    """Return the agents whose address (in lower case) this is, as a record says; None: it has it nowhere.

    The issuer is empty where nobody says who that is; ``issuer`` is as for :func:`mentions`. The list is
    empty where the address stands for no agent, or nobody can read for whom.
    """
    having = [
        passage
        for passage in chain(_passages_in(record.value), _passages_around(record))
        if passage.has_any({address})
    ]
    if not having:
        return None
    objects = {id(passage.identifiers): passage for passage in having}.values()  # not each text of each
    named = (
        AgentKey(issuer or passage.issuer, agent_id)
        for passage in objects
        for agent_id in passage.identifiers
    )
    return list(dict.fromkeys(named))


def names_in(record: Record) -> list[str] | None:
    """Return the names by which :func:`mentions` finds a record; None: it is no JSON, or has too many.

    A name is a digest, since a word may be of any length and of any characters. It has no key: the record
    stands beside it.
    """
    more = MAX_VALUES - (record.value or b"").count(b",")
    if more < 0:
        return None
    try:
        content = _parsed(record.value)
    except (ValueError, RecursionError):
        return None
    try:
        return _names_of(chain(_walked(content, more), _passages_around(record)), MAX_NAMES)
    except _TooManyValues:
        return None


def words_in(record: Record) -> list[str]:
    """Return the names by which :func:`mentions` finds a record, however many there are."""
    return _names_of(chain(_passages_in(record.value), _passages_around(record)), None) or []


def _names_of(passages: Iterable[_Passage], most: int | None) -> list[str] | None:
    found = {("word", "")}
    for number, name in enumerate(chain.from_iterable(passage.found_by() for passage in passages)):
        found.add(name)
        if most is not None and (len(found) > most or number > MAX_WORDS):
            return None
    return sorted(_name(*name) for name in found)


def names_of_agent(agent: AgentKey | None) -> list[str]:
    """Return the names of which a record has at least one if it names the agent by identifier."""
    if agent is None:
        return []
    return [_name("word", max(_WORD.findall(agent.agent_id.lower()), key=len, default=""))]


def names_of_addresses(addresses: Collection[str]) -> list[str]:
    """Return the names of which a record has at least one if it has one of the addresses (in lower case)."""
    longest = {max(_INNER_WORD.findall(address), key=len, default="") for address in addresses}
    raw = [_name("raw", word) for word in sorted(longest)]
    return [*(_name("address", address) for address in addresses), *raw]


def _name(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\0{value}".encode(errors="surrogatepass")).hexdigest()[:16]


def _passages_in(raw: bytes | str | None) -> Iterator[_Passage]:
    """Yield the texts of a value."""
    try:
        content = _parsed(raw)
    except (ValueError, RecursionError):
        written = (raw or b"").decode(errors="surrogateescape") if not isinstance(raw, str) else raw
        yield from _Passage("", is_raw=True).with_text(written)
        return
    yield from _walked(content)


def _passages_around(record: Record) -> Iterator[_Passage]:
    """Yield the texts of a record's key and headers."""
    values = [record.key, *(value for _, value in record.headers)]
    texts = [value.decode(errors="surrogateescape") for value in values if value]
    for text in chain(texts, (name for name, _ in record.headers)):
        yield from _Passage("").with_text(text)


def _parsed(raw: bytes | str | None) -> Any:
    return json.loads(raw or b"null", object_pairs_hook=_Members)


class _TooManyValues(Exception):
    """What is JSON in a record has more values than are looked at."""


def _walked(content: Any, more: float = math.inf) -> Iterator[_Passage]:
    """Yield the texts of JSON, without going deeper in Python than one level.

    ``more`` are the commas that what is JSON in its texts, and the @ that all of them, may have in all, and
    what these texts count for. Raises :class:`_TooManyValues` before it reads those.
    """
    left: list[tuple[Any, _Passage, bool, int]] = [(content, _Passage(""), False, 0)]
    while left:
        value, near, is_identifier, depth = left.pop()
        kind = type(value)
        if kind is _Members:
            near = _object_of(value)
            for name, held in value:
                yield from near.with_text(name)
                if type(held) in _TELLING or name == "agent_id":
                    left.append((held, near, name == "agent_id", depth))
                if name == "data_base64" and isinstance(held, str):
                    more -= OF_TEXT
                    left.append((_decoded(held), near, False, depth))
        elif kind is list:
            left.extend(
                (item, near, is_identifier, depth)
                for item in value
                if type(item) in _TELLING or is_identifier
            )
        elif kind is str:
            may_be_json = depth < _DEPTH and value.lstrip()[:1] in _BEGINNINGS
            more -= value.count("@") + (value.count(",") + OF_TEXT if may_be_json else 0)
            if more < 0:
                raise _TooManyValues
            inner = _json_in(value) if may_be_json else None
            if inner is None:
                yield from near.with_text(value)
            else:
                left.append((inner, near, is_identifier, depth + 1))
        elif kind is int and is_identifier:
            yield from near.with_text(str(value))


def _object_of(members: _Members) -> _Passage:
    """Return whose the texts of an object are; who says two things of the issuer says nothing."""
    issuers = {held for name, held in members if name == "issuer" and isinstance(held, str) and held}
    identifiers = (_written(held) for name, held in members if name == "agent_id")
    return _Passage(
        "",
        issuer=issuers.pop() if len(issuers) == 1 else "",
        identifiers=tuple(dict.fromkeys(written for written in identifiers if written is not None)),
    )


def _json_in(text: str) -> Any:
    """Return the JSON that a string is; None where it is none."""
    try:
        return _parsed(text)
    except (ValueError, RecursionError):
        return None


def _decoded(encoded: str) -> str:
    """Return what base64 says, as a text; empty where it is none."""
    try:
        return base64.b64decode(encoded).decode(errors="surrogateescape")
    except ValueError:
        return ""


def _is_agent(found: dict[str, Any], agent: AgentKey | None, issuer: str | None) -> bool:
    if agent is None:
        return False
    named = issuer or found.get("issuer") or agent.issuer
    return _identifier(found) == agent.agent_id and named == agent.issuer


def _identifier(found: dict[str, Any]) -> str | None:
    """Return whom an object of JSON names."""
    return _written(found.get("agent_id"))


def _written(identifier: Any) -> str | None:
    """Return an identifier, also where no contract allows it: as a number, or with spaces."""
    match identifier:
        case str() as written:
            return written.strip() or None
        case bool():
            return None
        case int() as number:
            return str(number)
        case _:
            return None


def as_read_by(
    raw: bytes | str | None, agent: AgentKey | None, addresses: AbstractSet[str], issuer: str | None
) -> str | None:
    """Return a value as the person may read it whom it names: others are left out of its JSON.

    What is no JSON, is too deep, or names the person elsewhere than in an object of theirs, has no parts:
    nobody knows of whom the rest is. Of it the person reads the words that name them.
    """
    naming = _words_in(_passages_in(raw), agent, addresses, issuer)
    try:
        content = content_of(raw)
        has_parts = not naming or any(
            _is_agent(named, agent, issuer) or _says(named, addresses) for named in _objects(content)
        )
        if has_parts:
            return json.dumps(without_others(content, agent, addresses, issuer), ensure_ascii=False)
    except (ValueError, RecursionError):
        pass
    return " ".join(["…", *(f"{word} …" for word in naming)])


def without_others(
    value: Any, agent: AgentKey | None, addresses: AbstractSet[str], issuer: str | None
) -> Any:
    """Return JSON in which every object about another person is empty, for this person to read.

    An object with an identifier or an address is about somebody: about this person where :func:`mentions`
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
        AgentKey(str(issuer or passage.get("issuer") or ""), identifier)
        for passage in found
        if (identifier := _identifier(passage)) is not None
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


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.ASCII) is not None


def _words_in(
    passages: Iterable[_Passage], agent: AgentKey | None, addresses: AbstractSet[str], issuer: str | None
) -> list[str]:
    """Return the person's identifier and addresses, as far as they stand in these texts."""
    is_theirs = agent is not None and issuer in (None, agent.issuer)
    found: set[str] = set()
    for passage in passages:
        found.update(address for address in addresses if address not in found and passage.has_any({address}))
        if agent is not None and is_theirs and passage.names(agent.agent_id):
            found.add(agent.agent_id)
    own = [agent.agent_id] if agent is not None and agent.agent_id in found else []
    return [*own, *sorted(found.intersection(addresses))]
