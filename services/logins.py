"""``parcours logins end``: the log-ins of one member of the staff, in all services with log-ins.

The identity provider must also close the account of a person who must not return.
"""

from typing import Annotated

import typer

from services.catalogue.definition import DEFINITION as CATALOGUE
from services.enrolment.definition import DEFINITION as ENROLMENT
from services.notifier.definition import DEFINITION as NOTIFIER
from shared import security_log
from shared.cli.definition import Definition, in_process
from shared.cli.running import run, stop
from shared.process import Process
from shared.security_log import OPERATOR, SecurityEvent, SecurityOutcome
from shared.web.logins import store

SERVICES = (CATALOGUE, ENROLMENT, NOTIFIER)

app = typer.Typer(
    help="Log-ins of people at the provider (OIDC_ISSUER).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def logins() -> None:
    """Without it typer would drop the name ``end`` of the single command."""


@app.command("end", help="End all log-ins of a person, at once. Close their account at the provider first.")
def end(
    person: Annotated[
        str,
        typer.Argument(
            help="As the pages call them, a mail address most often; or their sub at the provider."
        ),
    ],
) -> None:
    """End with 1 if there are no log-ins."""
    ended = {definition.name: _end_in(definition, person) for definition in SERVICES}
    total = sum(ended.values())
    if not total:
        stop(f"{person} is not logged in anywhere.")
    where = "parcours logins end"
    security_log.record(SecurityEvent.LOG_OUT, SecurityOutcome.OK, who=OPERATOR, where=where, times=total)
    typer.echo("Ended: " + ", ".join(f"{number} in the {service}" for service, number in ended.items()))


def _end_in(definition: Definition, person: str) -> int:
    async def forget(process: Process) -> int:
        issuers = [client.issuer for client in process.settings.issuer_clients]
        async with process.database.quiet_transaction() as tx:
            owners = [store.digest_of(issuer, person) for issuer in issuers]
            return await store.forget_person(tx, person, owners)

    return in_process(definition, forget)


if __name__ == "__main__":
    run(app)
