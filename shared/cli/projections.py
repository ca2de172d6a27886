"""``projections verify | rebuild``: compare a service with the compacted topics."""

from collections.abc import Sequence

import typer

from shared.cli.definition import Definition, in_process
from shared.cli.running import stop
from shared.messaging import projections
from shared.messaging.projections import Compared, TopicStates
from shared.process import Process

_SHOWN = 100


def add_to(app: typer.Typer, definition: Definition) -> None:
    group = typer.Typer(help="What is known from the compacted topics alone.", no_args_is_help=True)

    @group.command(
        "verify", help="Read the topics to their end and say what is kept differently. 1 if anything."
    )
    def verify() -> None:
        async def compare(process: Process) -> Sequence[Compared]:
            states = await _read_topics(process)
            return await projections.compare(states, process.database, process.projections)

        _report(in_process(definition, compare))

    @group.command("rebuild", help="Write it again, and take in what was missed; then verify.")
    def rebuild() -> None:
        async def rebuild_all(process: Process) -> Sequence[Compared]:
            states = await _read_topics(process)
            for topic in process.projections.topics:
                handled, missed = len(states.handled[topic]), len(states.missed[topic])
                typer.echo(f"{topic.value}: {handled} written again, {missed} missed and taken in now")
            await projections.rebuild(states, process.database, process.projections, process.consumer)
            return await projections.compare(states, process.database, process.projections)

        _report(in_process(definition, rebuild_all))

    app.add_typer(group, name="projections")


async def _read_topics(process: Process) -> TopicStates:
    states = await projections.read_topics(
        process.settings, process.database, process.router, process.projections.topics
    )
    if states.unreadable:
        typer.echo(f"{states.unreadable} records cannot be read: see dead-letters list", err=True)
    return states


def _report(compared: Sequence[Compared]) -> None:
    differences = [line for comparison in compared for line in comparison.differences()]
    for line in differences[:_SHOWN]:
        typer.echo(line)
    for comparison in compared:
        typer.echo(f"{comparison.kind}: {len(comparison.expected)} said, {len(comparison.stored)} kept")
    if differences:
        stop(f"{len(differences)} differences. What is on its way counts as one: verify again, then rebuild.")
