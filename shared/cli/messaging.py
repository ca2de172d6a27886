import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from shared.cli.acls import AclFormat, written
from shared.cli.definition import Definition, in_process
from shared.cli.running import load
from shared.messaging import acls, topics
from shared.messaging.portals import registry
from shared.messaging.rewind import rewind

if TYPE_CHECKING:
    from shared.process import Process


def add_to(app: typer.Typer, definition: Definition) -> None:
    group = typer.Typer(help="The Kafka topics of the whole system.", no_args_is_help=True)

    @group.command("create", help="Create what is missing; change nothing that exists.")
    def create(
        replication_factor: Annotated[
            int | None,
            typer.Option(
                min=1, help="On how many brokers each is; else on three, or on all where there are fewer."
            ),
        ] = None,
    ) -> None:
        settings = load(definition.settings)
        portals = registry.read(settings.portals_file, trial=settings.parcours_trial)
        if settings.portals_file is None:
            typer.echo("PORTALS_FILE is not set: portals get no topics for their answers.", err=True)
        created = asyncio.run(topics.create(settings, portals=portals, replication_factor=replication_factor))
        for name, is_new in created.are_new.items():
            typer.echo(f"{name}: {'created' if is_new else 'exists'}")
        if not settings.parcours_trial and (warning := created.warning()):
            typer.echo(warning, err=True)

    @group.command(
        "acls", help="Print what each service and each portal may do on the broker, or have it so."
    )
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

    @group.command(
        "rewind", help="After a restore: let this service, which is stopped, read again what came since."
    )
    def rewind_groups(
        since: Annotated[
            datetime, typer.Option(help="A time before the backup; UTC unless it says otherwise.")
        ],
    ) -> None:
        async def read_again(process: "Process") -> dict[str, int]:
            subscriptions = process.router.subscriptions.values()
            topics = {subscription.group_id: subscription.topic.value for subscription in subscriptions}
            return await rewind(
                process.settings, topics, since if since.tzinfo else since.replace(tzinfo=UTC)
            )

        for group, number in in_process(definition, read_again).items():
            typer.echo(f"{group}: {number} records will be read again")

    app.add_typer(group, name="topics")
