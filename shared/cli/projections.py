"""``projections verify | rebuild``: whether a service knows what the compacted topics say."""

from collections.abc import Sequence

import typer
from sqlalchemy import text

from shared.cli.definition import Definition, in_process, stop
from shared.messaging import projections
from shared.messaging.projections import Compared, Heard
from shared.process import Process

_SHOWN = 100
"""Differences that are printed one by one."""


def projections_commands(definition: Definition) -> typer.Typer:
    """The commands of one service."""
    app = typer.Typer(help="What is known from the compacted topics alone.", no_args_is_help=True)

    @app.command(
        "verify", help="Read the topics to their end and say what is kept differently. 1 if anything."
    )
    def verify() -> None:
        async def compare(process: Process) -> Sequence[Compared]:
            return await _compare(process, await _hear(process))

        _tell(in_process(definition, compare))

    @app.command("rebuild", help="Write it again, and take in what was missed; then verify.")
    def rebuild() -> None:
        async def again(process: Process) -> Sequence[Compared]:
            heard = await _hear(process)
            for topic in process.projections.topics:
                known, missed = len(heard.known[topic]), len(heard.missed[topic])
                typer.echo(f"{topic.value}: {known} written again, {missed} missed and taken in now")
            await projections.rebuild(heard, process.database, process.subscriptions, process.projections)
            return await _compare(process, heard)

        _tell(in_process(definition, again))

    return app


async def _hear(process: Process) -> Heard:
    heard = await projections.hear(
        process.settings, process.database, process.subscriptions, process.projections.topics
    )
    if heard.unreadable:
        typer.echo(f"{heard.unreadable} records cannot be read: see dead-letters list", err=True)
    return heard


async def _compare(process: Process, heard: Heard) -> Sequence[Compared]:
    async with process.database.quiet_transaction() as tx:
        # Of one moment, or a service at work would look as if it could not count.
        await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return await process.projections.compare(tx, heard.all_words())


def _tell(compared: Sequence[Compared]) -> None:
    differences = [line for one in compared for line in one.differences()]
    for line in differences[:_SHOWN]:
        typer.echo(line)
    for one in compared:
        typer.echo(f"{one.kind}: {len(one.said)} said, {len(one.kept)} kept")
    if differences:
        stop(f"{len(differences)} differences. What is on its way counts as one: verify again, then rebuild.")
