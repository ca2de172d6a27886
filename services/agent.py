"""``parcours agent find | export | correct | erase | erasures``: operators' actions on an agent.

Operators have the settings of all three services: no service reads another's database.
"""

import getpass
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple
from uuid import UUID

import typer
from pydantic import ValidationError

from services.catalogue.definition import DEFINITION as CATALOGUE
from services.enrolment.definition import DEFINITION as ENROLMENT
from services.enrolment.service import corrections
from services.notifier.definition import DEFINITION as NOTIFIER
from services.notifier.service import erasures as answers
from services.notifier.service.erasures import ErasureState
from shared import clock, read_log, security_log
from shared.cli.decisions import Actor
from shared.cli.definition import Definition, in_process
from shared.cli.running import json_to_read, run, stop
from shared.database import Transaction
from shared.events.fields import is_address, is_agent_id, is_issuer
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import AgentKey
from shared.messaging import dead_letters_of_people, erasure
from shared.personal_data import agents_with
from shared.process import Process
from shared.read_log import Reading, ReadKind
from shared.security_log import OPERATOR, SecurityEvent, SecurityOutcome
from shared.web import person_export
from shared.web.person_export import ServicePart

SERVICES = (ENROLMENT, NOTIFIER, CATALOGUE)

app = typer.Typer(
    help="What is known of one agent, in all services. Needs the settings of all three. What the owner of "
    "the same address confirmed on our page, or wrote as an officer, is apart: parcours person.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

IssuerArgument = Annotated[
    str, typer.Argument(help="Who gave the identifier: an issuer of PORTALS_FILE, or cnfpt.")
]
PageFile = Annotated[Path | None, typer.Option("--page", help="Write a page to read and to print, too.")]
Address = Annotated[str, typer.Argument(help="The address that the person is known by.")]
AgentIdArgument = Annotated[str, typer.Argument(help="The agent's identifier.")]
_NOT_IN_THIS = (
    "What the owner of an address confirmed on our page, or wrote as an officer, is not in this: "
    "parcours person export | erase ADDRESS. Nor is what is known by another identifier of the person, such "
    "as one of cnfpt: parcours agent find ADDRESS first, then each."
)
_NOBODY_TO_CORRECT = (
    "No address is known of {1} of {0}: nothing was done. By address: parcours agent find ADDRESS. "
    "With --anyway what they asked for before is corrected, if it waits for its session or is parked."
)
_NOBODY_TO_ERASE = (
    "No address is known of {1} of {0}: make sure that both are right. What is kept by this identifier alone "
    "ends, such as the answer to a request; all will say that it is done, also where that is nothing. "
    "By address: parcours agent find ADDRESS"
)
_OTHER = (
    "The same address is that of {1} of {0}, too, which is not in this. It may be the same person, or "
    "somebody else: make sure, then do it for each."
)
_IN_A_LETTER = (
    "{0}: the dead letter {1} has this address, and no agent who can be asked for: "
    "python -m services.{0} dead-letters show {1}"
)
_ONLY_CLAIMED = (
    "A portal only claims that an address is its agent's: make sure who asks. What the owner "
    "confirmed on our page, or wrote as an officer: parcours person export | erase ADDRESS"
)


@app.command(
    "find",
    help="List the agents who have this address, or had it: their issuers and identifiers.",
)
def find(address: Address) -> None:
    """Exit with status 1 if no service knows the address.

    Dead letters are searched too: a rejected request may be the only record of an agent.
    """
    addresses = [address_of(address)]
    found = {definition.name: _known_by(definition, addresses) for definition in SERVICES}
    _record(SecurityEvent.EXPORT, "find")
    for agent in sorted({agent for known in found.values() for agent in known.agents}):
        services = [name for name, known in found.items() if agent in known.agents]
        typer.echo(f"{agent.issuer}\t{agent.agent_id}\t{', '.join(services)}")
    for name, known in found.items():
        for letter_id in known.letters:
            typer.echo(_IN_A_LETTER.format(name, letter_id), err=True)
    typer.echo(_ONLY_CLAIMED, err=True)
    if not any(known.agents for known in found.values()):
        stop("No agent is known by this address.")


def address_of(typed: str) -> str:
    """Exits with status 2 for an invalid address."""
    address = typed.strip()
    if not is_address(address):
        stop("This is no address: it has one @, and a domain after it.", 2)
    return address


class _Known(NamedTuple):
    agents: list[AgentKey]
    letters: list[int]


def _known_by(definition: Definition, addresses: Iterable[str], *, but: AgentKey | None = None) -> _Known:
    """Return the agents and dead letters with these addresses, except ``but``. The read is recorded."""

    async def read(process: Process) -> _Known:
        agents: set[AgentKey] = set()
        letters: list[int] = []
        async with process.database.quiet_transaction() as tx:
            for address in addresses:
                agents.update(await agents_with(tx, process.register, address))
                parked = await dead_letters_of_people.with_address(
                    tx, address.lower(), process.eraser.issuer_of
                )
                for letter_id, named in parked.items():
                    can_be_asked_for = list(filter(_is_agent, named))
                    agents.update(can_be_asked_for)
                    if not can_be_asked_for:
                        letters.append(letter_id)
            found = sorted(agents - {but})
            if found:
                reading = Reading.by_command(getpass.getuser())
                await read_log.record(tx, reading, ReadKind.ADDRESS, agents=found)
            return _Known(found, letters)

    return in_process(definition, read)


def _is_agent(agent: AgentKey) -> bool:
    return bool(agent.issuer) and is_issuer(agent.issuer) and is_agent_id(agent.agent_id)


def _addresses_of(agent: AgentKey) -> list[str]:
    async def read(process: Process) -> frozenset[str]:
        async with process.database.quiet_transaction() as tx:
            return (await process.eraser.subject(tx, agent, clock.now())).addresses

    return sorted(frozenset[str]().union(*(in_process(definition, read) for definition in SERVICES)))


def _others_of(agent: AgentKey) -> list[AgentKey]:
    addresses = _addresses_of(agent)
    if not addresses:
        return []
    return sorted(
        {other for definition in SERVICES for other in _known_by(definition, addresses, but=agent).agents}
    )


def _say_others(others: Sequence[AgentKey]) -> None:
    for other in others:
        typer.echo(_OTHER.format(*other), err=True)


@app.command("export", help="Print all that is kept of an agent, as JSON: article 15 of the RGPD.")
def export(
    issuer: IssuerArgument,
    agent_id: AgentIdArgument,
    page: PageFile = None,
) -> None:
    """Exit with status 1 if nothing is kept."""
    agent = _agent(issuer, agent_id)
    others = _others_of(agent)
    something_is_kept = print_export(agent, agent._asdict(), page)
    _record(SecurityEvent.EXPORT, "export")
    _say_others(others)
    typer.echo(_NOT_IN_THIS, err=True)
    if not something_is_kept:
        stop(f"Nothing is kept of {agent_id} of {issuer}.")


def print_export(who: AgentKey | str, named: Mapping[str, str], page: Path | None) -> bool:
    """Return whether anything is kept."""
    parts = {definition.name: _kept_by(definition, who) for definition in SERVICES}
    kept = {name: part.rows for name, part in parts.items()}
    document = {**named, "exported_at": clock.now().isoformat(), "services": kept}
    typer.echo(json_to_read(document))
    if page is not None:
        with open(page, "w", opener=lambda path, flags: os.open(path, flags, mode=0o600)) as file:
            os.fchmod(file.fileno(), 0o600)  # a file that was there keeps its mode
            file.write(person_export.page(who, list(parts.values()), clock.now()))
    return any(kept.values())


def _agent(issuer: str, agent_id: str) -> AgentKey:
    """Exits with status 2 for an impossible identifier or issuer."""
    if not issuer or not is_issuer(issuer):
        stop(f"{issuer!r} cannot be an issuer: small letters, digits and hyphens, 60 at most.", 2)
    if not is_agent_id(agent_id):
        stop(
            f"{agent_id!r} cannot be an identifier: printable ASCII without spaces, 100 characters at most.",
            2,
        )
    return AgentKey(issuer, agent_id)


def _kept_by(definition: Definition, who: AgentKey | str) -> ServicePart:
    async def find(process: Process) -> ServicePart:
        return await person_export.kept_by(process, who, Reading.by_command(getpass.getuser()))

    return in_process(definition, find)


@app.command("correct", help="Have all services correct an agent's address or names: article 16 of the RGPD.")
def correct(
    issuer: IssuerArgument,
    agent_id: AgentIdArgument,
    *,
    by: Actor,
    email: Annotated[str | None, typer.Option(help="The right address.")] = None,
    given_name: Annotated[str | None, typer.Option(help="The right given name.")] = None,
    family_name: Annotated[str | None, typer.Option(help="The right family name.")] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where no address is known.")] = False,
) -> None:
    """The outbox of the enrolment service stores the correction and publishes it."""
    agent = _agent(issuer, agent_id)
    right = {"email": email, "given_name": given_name, "family_name": family_name}
    if not any(value is not None for value in right.values()):
        stop("Nothing to correct: give --email, --given-name or --family-name.", 2)
    try:
        corrected = AgentCorrected.model_validate(agent._asdict() | right)
    except ValidationError as error:
        options = [f"--{str(fault['loc'][0]).replace('_', '-')}" for fault in error.errors()]
        stop(f"{' and '.join(options)} cannot be right: {_REASONABLE}.", 2)

    if not anyway and not _addresses_of(agent):
        stop(_NOBODY_TO_CORRECT.format(*agent))
    request_id = _ask(lambda tx, _: corrections.request(tx, corrected), agent, ReadKind.CORRECTION, by)
    _record(SecurityEvent.CORRECTION, "correct")
    typer.echo(
        f"Requested as {request_id}. Of an agent who is in no session and follows nothing it changes nothing."
    )
    typer.echo("Done when parcours agent export shows it, in a minute as a rule.")
    typer.echo(_NOT_IN_THIS, err=True)


_REASONABLE = "an address has one @, and a domain after it; a name is one line without a link or an address"


def _ask(
    request: Callable[[Transaction, Process], Awaitable[UUID]], agent: AgentKey, kind: ReadKind, by: str
) -> UUID:
    async def ask(process: Process) -> UUID:
        if process.settings.intake_key is None:
            stop("INTAKE_SIGNING_KEY is not set: services would not believe the request. Set it for all.", 2)
        async with process.database.transaction() as tx:
            request_id = await request(tx, process)
            await read_log.record(tx, Reading.by_command(by), kind, agents=[agent], about=[request_id])
            return request_id

    return in_process(ENROLMENT, ask)


@app.command("erase", help="Ask all services to forget an agent: article 17 of the RGPD. See: erasures.")
def erase(issuer: IssuerArgument, agent_id: AgentIdArgument, by: Actor) -> None:
    """The outbox of the enrolment service stores the request and publishes it."""
    agent = _agent(issuer, agent_id)
    known, others = _addresses_of(agent), _others_of(agent)  # before the agent's data is erased

    request_id = _ask(
        lambda tx, process: erasure.request(tx, process.eraser.outbox, agent, clock.now()),
        agent,
        ReadKind.ERASURE,
        by,
    )
    _record(SecurityEvent.ERASURE, "erase")
    typer.echo(
        f"Requested as {request_id}. Which services have done it: parcours agent erasures {request_id}"
    )
    if not known:
        typer.echo(_NOBODY_TO_ERASE.format(*agent), err=True)
    _say_others(others)
    typer.echo(_NOT_IN_THIS, err=True)


def _record(event: SecurityEvent, command: str) -> None:
    security_log.record(event, SecurityOutcome.OK, who=OPERATOR, where=f"parcours agent {command}")


@app.command("erasures", help="Which services have forgotten whom: requests and answers, naming nobody.")
def erasures(
    request_id: Annotated[UUID | None, typer.Argument(help="One request. Default: the last hundred.")] = None,
) -> None:
    """With one request, exit with status 1 until all three services have answered."""

    async def find(process: Process) -> list[ErasureState]:
        async with process.database.quiet_transaction() as tx:
            return await answers.states(tx, request_id)

    found = in_process(NOTIFIER, find)
    for state in found:
        typer.echo(_line(state))
    if any(state.request_source != erasure.BY_COMMAND for state in found):
        typer.echo(_NOT_IN_THIS, err=True)
    if request_id is not None and not (found and all(state.is_done for state in found)):
        stop(
            f"The request {request_id} is not done by all services."
            if found
            else "No such request came here."
        )


def _line(state: ErasureState) -> str:
    done = [f"{service} {at:%Y-%m-%d %H:%M:%S}Z" for service, at in sorted(state.answers.items())]
    waits = [f"{service} not yet" for service in sorted(state.missing)]
    received = f"{state.received_at:%Y-%m-%d %H:%M:%S}Z"
    return "\t".join([str(state.request_id), state.request_source, f"received {received}", *done, *waits])


if __name__ == "__main__":
    run(app)
