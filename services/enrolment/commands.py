import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from services.enrolment.definition import DEFINITION
from services.enrolment.explanations import lines_of
from services.enrolment.restores import read_published
from services.enrolment.restores import reconcile as reconcile_all
from services.enrolment.rules.webhooks import WebhookState
from services.enrolment.service import webhooks as service
from services.enrolment.service.explain import IdExplanation, explain
from services.enrolment.service.restores import LostDecision
from shared.cli.definition import Definition, in_database, in_process
from shared.cli.running import stop
from shared.database import Database
from shared.process import Process
from shared.read_log import Reading

enrolments = typer.Typer(help="Enrolments, after a restore.", no_args_is_help=True)
webhooks = typer.Typer(help="Where the answers of portals are sent.", no_args_is_help=True)


def add_to(app: typer.Typer, _definition: Definition) -> None:
    app.command("explain", help="Why: the history of an agent, a session, a request or an enrolment.")(
        explain_
    )
    app.add_typer(enrolments, name="enrolments")
    app.add_typer(webhooks, name="webhooks")


def explain_(
    about: Annotated[
        str,
        typer.Argument(help="The id of one of these; or the reference in a letter."),
    ],
) -> None:
    async def find(process: Process) -> Sequence[IdExplanation]:
        async with process.database.quiet_transaction() as tx:
            return await explain(tx, about, Reading.by_command(getpass.getuser()))

    explanations = in_process(DEFINITION, find)
    if not explanations:
        stop(f"Nothing is known of {about}: it is the id of nothing that came here.")
    for explanation in explanations:
        for line in lines_of(explanation):
            typer.echo(line)


@enrolments.command(
    "reconcile",
    help="After a restore: say which decisions were published since the backup and are not known any more, "
    "and have what is decided of these enrolments from now on count. Ends with 1 if there are any.",
)
def reconcile(
    since: Annotated[datetime, typer.Option(help="A time before the backup; UTC unless it says otherwise.")],
) -> None:
    """Print each published decision that the database has lost, without names."""

    async def compare(process: Process) -> tuple[int, list[LostDecision]]:
        published = await read_published(
            process.settings, since if since.tzinfo else since.replace(tzinfo=UTC)
        )
        return len(published), await reconcile_all(process.database, published)

    number, lost = in_process(DEFINITION, compare)
    for decision in lost:
        was = decision.published
        typer.echo(
            f"{was.enrolment_id} in session {was.session_id}: {was.kind.__name__} was published, "
            f"it is {decision.stands or 'not there'}"
        )
    typer.echo(f"{number} enrolments were published, {len(lost)} of them are lost")
    if lost:
        stop("What was answered by a link or by hand, and what followed from that: have it done once more.")


@webhooks.command("list", help="How far each webhook is, and why one takes nothing.")
def list_webhooks() -> None:
    async def find(database: Database) -> Sequence[WebhookState]:
        async with database.quiet_transaction() as tx:
            return await service.states(tx)

    for state in in_database(DEFINITION, find):
        since = state.disabled_at or state.failing_since
        word = "disabled" if state.disabled_at else "failing"
        trouble = "" if since is None else f", {word} since {since:%Y-%m-%dT%H:%M}Z: {state.reason}"
        typer.echo(f"{state.portal}: taken up to {state.cursor}{trouble}")


@webhooks.command("replay", help="Send the events again at once. This also enables a disabled webhook.")
def replay_webhook(
    portal: Annotated[str, typer.Argument(help="The portal's name in PORTALS_FILE.")],
    after: Annotated[
        int | None,
        typer.Option(min=0, help="From the event after this number of the feed; without: the next one."),
    ] = None,
) -> None:
    async def replay(database: Database) -> bool:
        async with database.quiet_transaction() as tx:
            return await service.replay(tx, portal, after)

    if not in_database(DEFINITION, replay):
        stop(f"No webhook is stored for {portal}. Check PORTALS_FILE, and that enrolment runs.")
