import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from services.notifier.definition import DEFINITION
from services.notifier.letters.bounces import LARGEST, Suppression
from services.notifier.restores import read_ended
from services.notifier.service import bounces, mails, organisers, sender_dns
from services.notifier.service.mails import MailDetails
from services.notifier.service.restores import Reconciliation, message_ids_in
from services.notifier.service.restores import reconcile as reconcile_mails
from services.notifier.settings import Settings
from services.notifier.tables import MailRow, MailState
from shared.cli.definition import Definition, in_process
from shared.cli.running import load, stop
from shared.database import is_temporary
from shared.process import Process
from shared.read_log import Reading

mail_commands = typer.Typer(help="Mails, and what has become of them.", no_args_is_help=True)
returned = typer.Typer(help="Mails that came back.", no_args_is_help=True)
digests = typer.Typer(help="Who has ended the digest of a delegation.", no_args_is_help=True)


def add_to(app: typer.Typer, _definition: Definition) -> None:
    app.add_typer(mail_commands, name="mails")
    app.add_typer(returned, name="bounces")
    app.add_typer(digests, name="digests")


@mail_commands.command("list", help="Mails, newest first, and how many are in each state.")
def list_(
    state: Annotated[MailState | None, typer.Option(help="Only those in this state.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only those of this agent.")] = None,
    issuer: Annotated[
        str | None, typer.Option(help="Only those of agents whose identifier this issuer gave.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    async def find(process: Process) -> tuple[list[MailRow], dict[MailState, int]]:
        async with process.database.quiet_transaction() as tx:
            found = await mails.find(
                tx,
                issuer=issuer,
                agent_id=agent,
                state=state,
                limit=limit,
                reading=Reading.by_command(getpass.getuser()),
            )
            return found, await mails.counts(tx)

    records, counts = in_process(DEFINITION, find)
    for row in records:
        typer.echo(_line(row))
    typer.echo(", ".join(f"{number} {name.value}" for name, number in counts.items() if number) or "no mails")


@mail_commands.command("show", help="One mail, whole, and what was decided about it: it holds personal data.")
def show(mail_id: UUID) -> None:
    async def find(process: Process) -> MailDetails | None:
        async with process.database.quiet_transaction() as tx:
            return await mails.show(tx, mail_id, Reading.by_command(getpass.getuser()))

    found = in_process(DEFINITION, find)
    if found is None:
        stop(f"There is no mail {mail_id}.")
    for name, column in _SHOWN.items():
        typer.echo(f"{name:<13} {getattr(found.row, column)}")
    for line in found.audit_log:
        typer.echo(f"{line.at:%Y-%m-%d %H:%M:%S}Z\t{line.actor}\t{line.action}")


_SHOWN = {
    "mail_id": "mail_id",
    "event_id": "event_id",
    "template": "template",
    "agent_id": "recipient",
    "issuer": "issuer",
    "address": "address",
    "session_id": "session_id",
    "enrolment_id": "enrolment_id",
    "state": "state",
    "attempts": "attempts",
    "message_id": "message_id",
    "smtp_code": "smtp_code",
    "smtp_answer": "smtp_answer",
    "created_at": "created_at",
    "due_at": "due_at",
    "settled_at": "settled_at",
    "bounced_at": "bounced_at",
    "bounce_status": "bounce_status",
}


@mail_commands.command(
    "resolve",
    help="Decide about an ambiguous mail, or send a failed one again; or all that failed with one answer.",
)
def resolve(
    mail_id: Annotated[UUID | None, typer.Argument()] = None,
    *,
    state: Annotated[
        MailState | None, typer.Option(help="Instead of one mail: all that are 'failed', with --code.")
    ] = None,
    code: Annotated[int | None, typer.Option(help="The relay's code that they failed with.")] = None,
    sent: Annotated[bool, typer.Option("--sent", help="It arrived.")] = False,
    resend: Annotated[
        bool, typer.Option("--resend", help="Send it again; it may then arrive twice.")
    ] = False,
    by: Annotated[
        str, typer.Option("--by", help="Who decides; for the audit.", default_factory=getpass.getuser)
    ],
) -> None:
    if sent == resend:
        stop("Say what became of it: --sent or --resend.", 2)
    if mail_id is not None and state is None and code is None:
        _resolve_mail(mail_id, sent=sent, by=by)
    elif mail_id is None and state is MailState.FAILED and code is not None and resend:
        _resend_failed(code, by)
    else:
        stop("Say which: the id of one mail, or '--state failed --code 530 --resend' for all of these.", 2)


@mail_commands.command(
    "reconcile",
    help="After a restore: mark the mails as sent that left since the backup. Changes nothing, and ends "
    "with 1, while some of them are not in the queue.",
)
def reconcile(
    since: Annotated[datetime, typer.Option(help="A time before the backup; UTC unless it says otherwise.")],
    *,
    relay_log: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A log of the relay, with Message-IDs.")
    ] = None,
    accept_missing: Annotated[
        bool, typer.Option("--accept-missing", help="All is read: what is not in the queue will not come.")
    ] = False,
    by: Annotated[
        str, typer.Option("--by", help="Who decides; for the audit.", default_factory=getpass.getuser)
    ],
) -> None:
    logged = message_ids_in(relay_log.read_text(errors="replace")) if relay_log is not None else {}
    if relay_log is not None and not logged:
        stop(
            f"{relay_log} has no Message-ID of ours: nothing was changed. Into a container it is handed by "
            "'docker compose exec -T' or 'kubectl exec -i'. Leave --relay-log out if no mail left since."
        )

    async def mark(process: Process) -> Reconciliation:
        ended = await read_ended(process.settings, since if since.tzinfo else since.replace(tzinfo=UTC))
        async with process.database.transaction() as tx:
            return await reconcile_mails(tx, ended, logged, accept_missing=accept_missing, actor=by)

    done = in_process(DEFINITION, mark)
    for letter, number in sorted(done.missing.items()):
        typer.echo(f"not in the queue: {number} of {letter}")
    if done.missing and not accept_missing:
        stop(
            "Nothing was changed. Let the service read all (parcours_consumer_lag_records is 0) and make its "
            "fan-outs, then run this again; what is still missing then will not come: --accept-missing."
        )
    typer.echo(f"{done.marked} marked as they ended, {done.known} known already")


@mail_commands.command("dns", help="DNS records to publish, and what the settings imply. Looks nothing up.")
def dns(
    *,
    selector: Annotated[str, typer.Option(help="The name of the relay's DKIM key.")] = "parcours",
    reports: Annotated[str | None, typer.Option(help="The mailbox that DMARC's reports go to.")] = None,
) -> None:
    settings = load(Settings)
    for record in sender_dns.records(settings, selector, reports):
        typer.echo(f"; {record.purpose}\n{record}")
    typer.echo()
    for sentence in sender_dns.implications(settings):
        typer.echo(f"- {sentence}")


def _resolve_mail(mail_id: UUID, *, sent: bool, by: str) -> None:
    async def decide(process: Process) -> tuple[MailState | None, bool]:
        async with process.database.transaction() as tx:
            return await mails.resolve(tx, mail_id, sent=sent, actor=by)

    before, is_done = in_process(DEFINITION, decide)
    if before is None:
        stop(f"There is no mail {mail_id}.")
    if is_done:
        typer.echo(f"{mail_id}: {'sent' if sent else 'will be sent again'}")
    else:
        stop(f"The mail {mail_id} is {before.value}: there is nothing to decide.")


def _resend_failed(code: int, by: str) -> None:
    async def again(process: Process) -> int:
        async with process.database.transaction() as tx:
            return await mails.resend_failed(tx, code, actor=by)

    number = in_process(DEFINITION, again)
    typer.echo(f"{number} will be sent again, unless what they say is not so any more")


@mail_commands.command("resend", help="Send a letter once more on purpose, as a new mail.")
def resend(
    mail_id: UUID,
    by: Annotated[
        str, typer.Option("--by", help="Who decides; for the audit.", default_factory=getpass.getuser)
    ],
) -> None:
    """Send a copy with its own key and Message-ID. An ambiguous mail is sent again itself."""

    async def again(process: Process) -> UUID | None:
        async with process.database.transaction() as tx:
            return await mails.resend(tx, mail_id, actor=by)

    new = in_process(DEFINITION, again)
    if new is None:
        stop(f"There is no mail {mail_id}, or it has not come to an end yet: 'mails show {mail_id}' tells.")
    typer.echo(f"{mail_id}: will be sent again as {new}, unless what it says is not so any more")


@returned.command("take", help="Take one message to the return path from standard input, as a pipe gives it.")
def take_returned() -> None:
    """Read one returned message. Exit status 75 tells the relay to deliver it again later."""
    raw = sys.stdin.buffer.read(LARGEST)
    path = load(Settings).return_path
    if path is None:
        stop("Set BOUNCE_ADDRESS and LINK_SIGNING_KEY: a return counts only at an address that we signed.")

    async def take(process: Process) -> str:
        async with process.database.transaction() as tx:
            return await bounces.record(tx, raw, path)

    try:
        typer.echo(in_process(DEFINITION, take))
    except Exception as error:
        if not is_temporary(error):
            raise
        stop("The database cannot be reached: try again later.", os.EX_TEMPFAIL)


@returned.command("suppressed", help="Addresses that are written to no more, by the mail that came back.")
def list_suppressed(limit: Annotated[int, typer.Option(min=1)] = 50) -> None:
    async def find(process: Process) -> list[Suppression]:
        async with process.database.quiet_transaction() as tx:
            return await bounces.suppressions(tx, limit=limit)

    found = in_process(DEFINITION, find)
    for address in found:
        since = f"{address.since:%Y-%m-%d %H:%M:%S}Z"
        agent = f"{address.agent_id or '-'}\t{address.issuer or '-'}"
        typer.echo(f"{address.mail_id}\t{since}\t{address.kind.value}\t{agent}")
    typer.echo(f"{len(found)} suppressed")


@returned.command("lift", help="Write to an address again.")
def lift(address: str) -> None:
    async def forgive(process: Process) -> bool:
        async with process.database.transaction() as tx:
            return await bounces.lift(tx, address)

    if not in_process(DEFINITION, forgive):
        stop("This address is not on the list.")
    typer.echo("It is written to again.")


@returned.command(
    "lift-since", help="Write again to all addresses suppressed in a time, by a host's mistake."
)
def lift_since(
    since: Annotated[datetime, typer.Argument(help="UTC unless it says otherwise.")],
    until: Annotated[
        datetime | None, typer.Option(help="UTC unless it says otherwise; now by default.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="Only those with this status, such as 5.1.1.")] = None,
) -> None:
    first, last = (
        moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        for moment in (since, until or datetime.now(UTC))
    )

    async def forgive(process: Process) -> int:
        async with process.database.transaction() as tx:
            return await bounces.lift_since(tx, first, last, code)

    typer.echo(f"{in_process(DEFINITION, forgive)} are written to again.")


@digests.command("resume", help="Write the digest again to who has ended it, where the settings name them.")
def resume_digest(organiser: str, address: str) -> None:
    async def resume(process: Process) -> bool:
        async with process.database.transaction() as tx:
            return await organisers.resume_digest(tx, organiser, address)

    if not in_process(DEFINITION, resume):
        stop("This address has not ended the digest of this organiser.")
    typer.echo("It has the digest again, where DELEGATION_CONTACTS names it.")


def _line(row: MailRow) -> str:
    """Return only identifiers, because lists are pasted into tickets."""
    return "\t".join(
        [
            str(row.mail_id),
            f"{row.created_at:%Y-%m-%d %H:%M:%S}Z",
            row.state,
            row.template,
            row.recipient,
            " ".join(str(part) for part in (row.smtp_code, row.smtp_answer) if part),
            row.issuer,
        ]
    )
