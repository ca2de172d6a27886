import getpass
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol, TypeVar

import typer

from shared.cli.definition import Definition, in_database, in_process
from shared.cli.running import stop
from shared.database import Database
from shared.process import Process

BIGGEST_ID = 2**63 - 1
Ids = Annotated[list[int] | None, typer.Argument(help="Ids from 'list'.", min=1, max=BIGGEST_ID)]
Everything = Annotated[bool, typer.Option("--all", help="All that wait for a decision.")]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Only of this topic.")]
Actor = Annotated[
    str, typer.Option("--by", help="Who decides; for the audit.", default_factory=getpass.getuser)
]
ReaderOption = Annotated[
    str, typer.Option("--by", help="Who reads; for the log of reads.", default_factory=getpass.getuser)
]


class _Numbered(Protocol):
    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=_Numbered)
Find = Callable[..., Awaitable[list[T]]]


def find(
    definition: Definition,
    query: Find[T],
    *,
    ids: Sequence[int] = (),
    topic: str | None = None,
    state: str | None = None,
    limit: int = 1_000_000,
) -> list[T]:
    async def find_in(database: Database) -> list[T]:
        async with database.quiet_transaction() as tx:
            return await query(tx, ids=ids, topic=topic, state=state, limit=limit)

    return in_database(definition, find_in)


def echo_list(
    definition: Definition,
    query: Find[T],
    line: Callable[[T], str],
    *,
    topic: str | None,
    state: str,
    limit: int,
) -> None:
    items = find(definition, query, topic=topic, state=state, limit=limit)
    for item in items:
        typer.echo(line(item))
    typer.echo(f"{len(items)} {state}")


def echo_whole(
    definition: Definition,
    read: Callable[[Process], Awaitable[T | None]],
    page: Callable[[T], str],
    *,
    missing: str,
) -> None:
    """End the command with ``missing`` if nothing is found."""
    item = in_process(definition, read)
    if item is None:
        stop(missing)
    typer.echo(page(item))


def chosen(
    definition: Definition,
    query: Find[T],
    state: str,
    *,
    ids: list[int] | None,
    everything: bool,
    topic: str | None,
) -> list[T]:
    """End the command if one of the items is not in this state."""
    if not ids and not everything:
        stop("Say which: ids, or --all.", 2)
    items = find(definition, query, ids=ids or (), topic=topic, state=state)
    unknown = sorted(set(ids or ()) - {item.id for item in items})
    if unknown:
        stop(f"Not {state}: {', '.join(map(str, unknown))}. Nothing was done.")
    return items
