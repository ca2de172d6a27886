from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from shared.events.vocabulary import EARLIEST, LATEST
from shared.events.zones import zone_named
from shared.http import MAX_FILE_BYTES, is_from_here

LARGEST_FORM = 256 * 1024
MAX_FIELDS = 1_000
"""A session with a hundred séances and a hundred reservations has fewer."""

_WALL_CLOCK = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True, eq=False)
class Form(Mapping[str, str]):
    """A field that was sent several times has its last value."""

    pairs: Sequence[tuple[str, str]] = ()
    file: bytes | None = None
    _fields: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fields", dict(self.pairs))

    def __getitem__(self, name: str) -> str:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def typed(self, name: str) -> str:
        return self._fields.get(name, "").strip()

    def number(self, name: str, most: int) -> int | None:
        return number_in(self.typed(name), most)

    def every(self, name: str) -> list[str]:
        return [value for field_name, value in self.pairs if field_name == name]


async def read_form(
    request: Request, address: str | None = None, *, most: int = MAX_FIELDS, with_file: bool = False
) -> Form:
    """Read at most ``most`` fields, and the file if ``with_file``.

    Raises a 400 for a malformed form, a 413 for one that is too large, and, with our public ``address``, a
    403 for a form of another site.
    """
    if address is not None and not is_from_here(request.headers, address):
        raise HTTPException(403)
    kind = _kind(request)
    if not kind:  # some programs send a button without fields like this
        return Form()
    if with_file and kind == _IN_PARTS:
        return await _with_file(request, most)
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(400)
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_FORM:
            raise HTTPException(413)
    return parsed(bytes(content), most)


def is_in_parts(request: Request) -> bool:
    """Return whether the form may contain a file."""
    return _kind(request) == _IN_PARTS


_IN_PARTS = "multipart/form-data"


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class _InMemory(MultiPartParser):
    """Writes no file: it would contain personal data, and some large ones fill ``/tmp`` of a pod."""

    spool_max_size = MAX_FILE_BYTES


async def _with_file(request: Request, most: int) -> Form:
    pairs: list[tuple[str, str]] = []
    file: bytes | None = None
    parser = _InMemory(
        request.headers, request.stream(), max_files=1, max_fields=most, max_part_size=LARGEST_FORM
    )
    try:
        sent = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400) from error
    for name, value in sent.multi_items():
        if isinstance(value, UploadFile):
            file = await value.read()
            await value.close()
        else:
            pairs.append((name, value))
    if sum(len(name.encode()) + len(value.encode()) for name, value in pairs) > LARGEST_FORM:
        raise HTTPException(413)
    return _form(pairs, file)


def parsed(content: bytes, most: int = MAX_FIELDS) -> Form:
    try:
        text = content.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=most)
    except ValueError as error:
        raise HTTPException(400) from error
    return _form([(name, value.replace("\r\n", "\n")) for name, value in pairs])


def _form(pairs: Sequence[tuple[str, str]], file: bytes | None = None) -> Form:
    """Raises a 400 for a NUL: no browser sends it, and Postgres does not store it."""
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise HTTPException(400)
    return Form(pairs, file)


def number_in(typed: str, most: int) -> int | None:
    """Return None unless the text is a whole number from 0 to ``most``."""
    is_number = typed.isascii() and typed.isdigit() and len(typed) <= len(str(most))
    return int(typed) if is_number and int(typed) <= most else None


def moment_in(typed: str, timezone: str) -> datetime:
    """Raises ``ValueError`` for an invalid text, a year out of bounds or an unknown zone."""
    zone = zone_named(timezone)
    if zone is None:
        raise ValueError(f"there is no time zone {timezone[:40]!r}")
    on_the_wall = datetime.strptime(typed.strip()[:16], _WALL_CLOCK)  # noqa: DTZ007 a wall clock's
    moment = on_the_wall.replace(tzinfo=zone)
    if not EARLIEST <= moment < LATEST:
        raise ValueError("is not a moment between 2000 and 2100")
    return moment.astimezone(UTC)


def typed_moment(moment: datetime, timezone: str) -> str:
    return moment.astimezone(ZoneInfo(timezone)).strftime(_WALL_CLOCK)
