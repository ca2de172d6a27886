import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Annotated, Any

import typer

from services.console import asking, broker, waiting
from services.console.asking import ServiceName
from services.console.doctor import visit as doctor
from services.console.doctor.databases import DiskOptions
from services.console.doctor.mails import DnsOptions
from services.console.doctor.visit import DoctorOptions
from services.console.findings import Finding, report
from services.console.trace import TraceOptions, trace
from shared.cli.decisions import ReaderOption
from shared.read_log import Reading

app = typer.Typer(
    name="parcours",
    help="How all services are, and what waits for somebody. Each command ends with 0 where all is well, 1 "
    "where something must be done, 2 where something could not be asked.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Json = Annotated[bool, typer.Option("--json", help="For a script.")]
Services = Annotated[
    list[ServiceName] | None, typer.Option("--service", help="Only this one; may be repeated.")
]


def _report(asking_all: Coroutine[Any, Any, list[Finding]], *, as_json: bool) -> None:
    report(asyncio.run(asking_all), as_json=as_json)


@app.command("status", help="What waits in each service, and whether it reads its topics.")
def status(services: Services = None, as_json: Json = False) -> None:
    settings, chosen = asking.settings(), asking.named(services)

    async def all_of_them() -> list[Finding]:
        return [*await waiting.status(settings, chosen), *await broker.reading(settings, chosen)]

    _report(all_of_them(), as_json=as_json)


@app.command("lag", help="Who reads each topic, and what waits there, as Kafka tells.")
def lag(services: Services = None, as_json: Json = False) -> None:
    _report(broker.lag(asking.settings(), asking.named(services)), as_json=as_json)


@app.command("doctor", help="Whether all is set up as it has to be, and what to do. It changes nothing.")
def examine(
    *,
    services: Services = None,
    selector: Annotated[str, typer.Option(help="The name of the relay's DKIM key.")] = "parcours",
    dns_server: Annotated[
        str | None, typer.Option(help="Who is asked for DNS records. Default: this machine's name server.")
    ] = None,
    dns_port: Annotated[int, typer.Option(min=1, max=65535)] = 53,
    free_percent: Annotated[float, typer.Option(help="Of a disk with data, free at least.")] = 10,
    free_gib: Annotated[float, typer.Option(help="The same in GiB.")] = 2,
    as_json: Json = False,
) -> None:
    options = DoctorOptions(DnsOptions(dns_server, dns_port, selector), DiskOptions(free_percent, free_gib))
    _report(doctor.look(asking.named(services), options), as_json=as_json)


@app.command("trace", help="The way of one request over all services and topics, without names.")
def trace_(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Of a request (its ce_id), an enrolment, a session or a mail; or the reference in a letter.",
        ),
    ],
    *,
    by: ReaderOption,
    with_personal_data: Annotated[
        bool, typer.Option("--with-personal-data", help="With names and addresses.")
    ] = False,
    minutes: Annotated[
        int, typer.Option(min=1, help="How far back the topics are read for an id that no service knows.")
    ] = 60,
    as_json: Json = False,
) -> None:
    options = TraceOptions(Reading.by_command(by), with_personal_data, timedelta(minutes=minutes))
    _report(trace(asking.settings(), identifier.strip(), options), as_json=as_json)


@app.command("topics", help="Whether the topics are on the broker as agreed. To create: topics of a service.")
def topics(as_json: Json = False) -> None:
    _report(broker.all_topics(asking.settings()), as_json=as_json)


@app.command("dead-letters", help="Records that wait for a decision, of all services.")
def dead_letters(services: Services = None, as_json: Json = False) -> None:
    _report(waiting.all_dead_letters(asking.settings(), asking.named(services)), as_json=as_json)


@app.command("outbox", help="Events that are held back, of all services.")
def outbox(services: Services = None, as_json: Json = False) -> None:
    _report(waiting.all_held_events(asking.settings(), asking.named(services)), as_json=as_json)


@app.command("mails", help="How many mails are in each state, and those that wait for a decision.")
def mails(as_json: Json = False) -> None:
    _report(waiting.all_mails(asking.settings()), as_json=as_json)
