"""``parcours person export | erase``: the data about the owner of an address, in all services.

For subscribers by address alone, officers and advisors of bespoke requests, and staff. ``parcours agent`` is
for agents (docs/adr/0040).
"""

from uuid import UUID, uuid4

import typer

from services.agent import SERVICES, Address, PageFile, address_of, print_export
from services.notifier.settings import Settings
from shared import clock, security_log
from shared.cli.definition import Definition, in_process
from shared.cli.running import load, run, stop
from shared.process import Process
from shared.security_log import OPERATOR, SecurityEvent, SecurityOutcome

app = typer.Typer(
    help="What is known of the owner of an address, in all services: who subscribed on our page, officers, "
    "advisors, staff. Needs the settings of all three. Agents who have it are apart: parcours agent.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_NOT_IN_THIS = (
    "What is known of agents who have this address is not in this: parcours agent find ADDRESS says who they "
    "are, for parcours agent export | erase ISSUER AGENT_ID"
)
_WRITTEN_TO_AGAIN = (
    "DELEGATION_CONTACTS of the notifier names this address: what a session needs is written there again, or "
    "agents are told to write to it. Take it out of the setting, restart the notifier, and run this again."
)
_IN_ORDER = tuple(reversed(SERVICES))
"""The catalogue comes first: the others pass on its answers to officers."""


@app.command("export", help="Print all that is kept of the owner of an address, as JSON.")
def export(address: Address, page: PageFile = None) -> None:
    """End with 1 if nothing is kept."""
    known = address_of(address)
    something_is_kept = print_export(known, {"address": known}, page)
    _record(SecurityEvent.EXPORT, SecurityOutcome.OK, "export")
    typer.echo(_NOT_IN_THIS, err=True)
    if not something_is_kept:
        stop("Nothing is kept of this address.")


@app.command("erase", help="Forget the owner of an address, at once, in all services.")
def erase(address: Address) -> None:
    """Print when each service has erased the person. End with 1 unless all have; it may be run again."""
    known, request_id = address_of(address), uuid4()
    late = [service.name for service in _IN_ORDER if not _erased(service, known, request_id)]
    _record(SecurityEvent.ERASURE, SecurityOutcome.FAILED if late else SecurityOutcome.OK, "erase")
    if late:
        stop(f"Not done by {', '.join(late)}: something is still on its way. Run this again in a minute.")
    typer.echo(f"Proof of it, naming nobody: parcours agent erasures {request_id}")
    if load(Settings).names_contact(known):
        typer.echo(_WRITTEN_TO_AGAIN, err=True)
    typer.echo(_NOT_IN_THIS, err=True)


def _erased(definition: Definition, address: str, request_id: UUID) -> bool:
    async def forget(process: Process) -> bool:
        return await process.eraser.forget(address, request_id)

    done = in_process(definition, forget)
    if done:
        typer.echo(f"{request_id}\t{definition.name} {clock.now():%Y-%m-%d %H:%M:%S}Z")
    return done


def _record(event: SecurityEvent, outcome: SecurityOutcome, command: str) -> None:
    security_log.record(event, outcome, who=OPERATOR, where=f"parcours person {command}")


if __name__ == "__main__":
    run(app)
