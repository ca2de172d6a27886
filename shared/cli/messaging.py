"""``topics`` and ``outbox``: the commands by which an operator creates topics and publishes again."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from shared.cli.acls import AclFormat, written
from shared.cli.definition import Definition, in_process, load
from shared.messaging import acls, outbox, topics
from shared.messaging.portals import registry
from shared.process import Process


def topics_commands(definition: Definition) -> typer.Typer:
    """``topics create | acls``."""
    app = typer.Typer(help="The Kafka topics of the whole system.", no_args_is_help=True)

    @app.callback()
    def group() -> None:
        """The Kafka topics of the whole system."""

    @app.command("create", help="Create what is missing; change nothing that exists.")
    def create(replication_factor: Annotated[int, typer.Option(min=1)] = 1) -> None:
        settings = load(definition.settings)
        portals = registry.read(settings.portals_file, trial=settings.parcours_trial)
        created = asyncio.run(topics.create(settings, portals=portals, replication_factor=replication_factor))
        for name, is_new in created.items():
            typer.echo(f"{name}: {'created' if is_new else 'exists'}")

    @app.command("acls", help="Print what each service and each portal may do on the broker, or have it so.")
    def print_acls(
        *,
        wanted: Annotated[
            AclFormat, typer.Option("--format", help="Commands of Kafka, or KafkaUsers of Strimzi.")
        ] = AclFormat.KAFKA_ACLS,
        cluster: Annotated[str, typer.Option(help="The name of Strimzi's Kafka resource.")] = "kafka",
        apply: Annotated[bool, typer.Option("--apply", help="Add the rights on the broker.")] = False,
    ) -> None:
        settings = load(definition.settings)
        portals = registry.read(settings.portals_file, trial=settings.parcours_trial)
        users = acls.users(portals)
        if apply:
            asyncio.run(acls.apply(settings, users))
            typer.echo("\n".join(f"{user.name}: has its rights" for user in users))
        else:
            typer.echo(written(users, wanted, cluster))

    return app


def outbox_commands(definition: Definition) -> typer.Typer:
    """``outbox status | replay``."""
    app = typer.Typer(help="Events on their way to Kafka.", no_args_is_help=True)

    @app.command("status", help="How many events wait to be published.")
    def status() -> None:
        async def unsent(process: Process) -> tuple[int, float]:
            async with process.database.quiet_transaction() as tx:
                return await outbox.unsent(tx)

        waiting, age = in_process(definition, unsent)
        typer.echo(f"{waiting} unsent" + (f", the oldest for {age:.0f} s" if waiting else ""))

    @app.command("replay", help="Publish again what was created since a moment (a broker lost its disk).")
    def replay(since: Annotated[datetime, typer.Option(help="UTC unless it says otherwise.")]) -> None:
        moment = since if since.tzinfo else since.replace(tzinfo=UTC)

        async def replay_all(process: Process) -> int:
            async with process.database.transaction() as tx:
                return await outbox.replay(tx, moment)

        typer.echo(
            f"{in_process(definition, replay_all)} events will be published again by the running service."
        )

    return app
