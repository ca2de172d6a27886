from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from shared import read_log
from shared.cli.dead_letters import on_one_line
from shared.cli.decisions import (
    BIGGEST_ID,
    Actor,
    Everything,
    Ids,
    OfTopic,
    ReaderOption,
    chosen,
    echo_list,
    echo_whole,
)
from shared.cli.definition import Definition, in_database
from shared.cli.running import load
from shared.database import Database, Transaction
from shared.messaging import cluster, held, outbox
from shared.messaging.held import HeldEvent
from shared.messaging.mentions import agents_in
from shared.process import Process
from shared.read_log import Reading, ReadKind

_State = Literal["refused", "waiting", "discarded"]


def add_to(app: typer.Typer, definition: Definition) -> None:
    group = typer.Typer(help="Events on their way to Kafka.", no_args_is_help=True)

    @group.command("status", help="How many events wait to be published.")
    def status() -> None:
        async def count(database: Database) -> tuple[int, float, int, int]:
            async with database.quiet_transaction() as tx:
                return (*await outbox.unsent(tx), *await held.count(tx))

        unsent, age, refused, waiting = in_database(definition, count)
        typer.echo(
            f"{unsent} unsent"
            + (f", the oldest for {age:.0f} s" if unsent else "")
            + (f"; held back: {refused} refused, {waiting} waiting" if refused or waiting else "")
        )

    @group.command("replay", help="Publish again what was created since a moment (a broker lost its disk).")
    def replay(since: Annotated[datetime, typer.Option(help="UTC unless it says otherwise.")]) -> None:
        moment = since if since.tzinfo else since.replace(tzinfo=UTC)

        async def replay_all(database: Database) -> int:
            async with database.transaction() as tx:
                return await outbox.replay(tx, moment)

        typer.echo(
            f"{in_database(definition, replay_all)} events will be published again by the running service."
        )

    @group.command("accept-cluster", help="The Kafka cluster is another one, on purpose: go on with it.")
    def accept_cluster() -> None:
        async def accept(database: Database) -> str:
            found = await cluster.id_at(load(definition.settings))
            await cluster.accept(database, found)
            return found

        found = in_database(definition, accept)
        typer.echo(f"{found} is the cluster of {definition.name} now. What it lacks: outbox replay --since …")

    _add_decisions(group, definition)
    app.add_typer(group, name="outbox")


def _add_decisions(group: typer.Typer, definition: Definition) -> None:
    @group.command("list", help="What is held back, and why.")
    def list_(
        state: Annotated[_State, typer.Option()] = "refused",
        topic: OfTopic = None,
        limit: Annotated[int, typer.Option(min=1)] = 100,
    ) -> None:
        echo_list(definition, held.find, _line, topic=topic, state=state, limit=limit)

    @group.command("show", help="One event that is held back, whole: it may hold personal data.")
    def show(event_id: Annotated[int, typer.Argument(min=1, max=BIGGEST_ID)], by: ReaderOption) -> None:
        echo_whole(
            definition,
            lambda process: _read(process, event_id, by),
            _page,
            missing=f"No event {event_id} is held back.",
        )

    @group.command("redrive", help="Send again what was refused, and then what waits behind it.")
    def redrive(ids: Ids = None, everything: Everything = False, topic: OfTopic = None) -> None:
        events = chosen(definition, held.find, "refused", ids=ids, everything=everything, topic=topic)

        done = _settle_all(definition, events, held.redrive)
        typer.echo(f"{done} will be sent again by the running service")

    @group.command("discard", help="Give up on events that were refused, for a reason that is kept.")
    def discard(
        reason: Annotated[str, typer.Option(help="Why nothing is lost by it.")],
        by: Actor,
        ids: Ids = None,
        everything: Everything = False,
        topic: OfTopic = None,
    ) -> None:
        events = chosen(definition, held.find, "refused", ids=ids, everything=everything, topic=topic)

        async def discard_one(tx: Transaction, event_id: int) -> bool:
            return await held.discard(tx, event_id, actor=by, reason=reason)

        typer.echo(f"{_settle_all(definition, events, discard_one)} discarded")


async def _read(process: Process, event_id: int, by: str) -> HeldEvent | None:
    async with process.database.quiet_transaction() as tx:
        for event in await held.find(tx, ids=[event_id], limit=1):
            portal = process.eraser.portals.portals.of_source(event.source)
            agents = agents_in(event.data, None if portal is None else portal.issuer)
            await read_log.record(tx, Reading.by_command(by), ReadKind.EVENT, agents=agents, about=[event.id])
            return event
    return None


def _settle_all(
    definition: Definition,
    events: Sequence[HeldEvent],
    settle: Callable[[Transaction, int], Awaitable[bool]],
) -> int:
    async def settle_all(database: Database) -> int:
        done = 0
        for event in events:
            async with database.quiet_transaction() as tx:
                done += await settle(tx, event.id)
        return done

    return in_database(definition, settle_all)


def _line(event: HeldEvent) -> str:
    created_at = f"{event.created_at:%Y-%m-%d %H:%M:%S}Z"
    return "\t".join([str(event.id), created_at, event.topic, event.type, on_one_line(event.error)])


def _page(event: HeldEvent) -> str:
    lines = [
        _line(event),
        f"state     {event.held}",
        f"key       {on_one_line(event.key)}",
        f"ce_id     {event.event_id}",
        f"ce_source {on_one_line(event.source)}",
        f"value     {on_one_line(event.data)}",
    ]
    return "\n".join(lines)
