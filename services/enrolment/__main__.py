"""``python -m services.enrolment serve | migrate | explain … | dead-letters … | outbox …``."""

import getpass
from collections.abc import Sequence
from typing import Annotated

import typer

from services.enrolment.app import DEFINITION
from services.enrolment.explanations import lines_of
from services.enrolment.service.explain import IdExplanation, explain
from shared.cli import in_process, run, service_cli, stop
from shared.process import Process
from shared.read_log import Reading

app = service_cli(DEFINITION)


@app.command("explain", help="Why: the history of an agent, a session, a request or an enrolment.")
def explain_(
    about: Annotated[
        str,
        typer.Argument(help="The id of one of these; or the reference in a letter."),
    ],
) -> None:
    """Print what happened, when, by which rule and which numbers."""

    async def find(process: Process) -> Sequence[IdExplanation]:
        async with process.database.quiet_transaction() as tx:
            return await explain(tx, about, Reading.by_command(getpass.getuser()))

    explanations = in_process(DEFINITION, find)
    if not explanations:
        stop(f"Nothing is known of {about}: it is the id of nothing that came here.")
    for explanation in explanations:
        for line in lines_of(explanation):
            typer.echo(line)


if __name__ == "__main__":
    run(app)
