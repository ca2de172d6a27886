"""The commands of the local stack: `python -m local run | demo | year | rehearsal | settings | …`."""

import functools
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from local.failures import LocalStackError
from local.places import LOCAL

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The whole system on this machine, without Docker."
)


@cli.callback()
def local() -> None:
    """Run Parcours on this machine."""


Broker = Annotated[
    Literal["embedded", "kafka"] | None,
    typer.Option(
        help="embedded: in memory, needs nothing. kafka: Apache Kafka itself, needs Java 17 and Maven."
    ),
]
Scale = Annotated[str, typer.Option(help='Processes of each service, for example "enrolment=3 notifier=2".')]

Directory = Annotated[
    Path,
    typer.Option(help="Where everything is kept: .local, or .local/year for a year.", show_default=False),
]

# Print each line at once, also into a pipe or a file.
say = functools.partial(print, flush=True)


@cli.command("run")
def run_stack(
    broker: Broker = None,
    scale: Scale = "",
    directory: Directory = LOCAL,
    *,
    as_announced: Annotated[
        bool, typer.Option("--as-announced", help="With the dates of 2025, in .local/as-announced.")
    ] = False,
) -> None:
    """Run everything until Ctrl-C, with the real offer and links to the pages.

    Without a broker, on Apache Kafka if it can run.
    """
    from local import running
    from local.services import parse_scale
    from local.stack import StackOptions

    if as_announced and directory == LOCAL:
        directory = LOCAL / "as-announced"  # loading other dates would change the sessions of the other offer
    options = StackOptions(
        broker=broker or running.best_broker(say), scale=parse_scale(scale), directory=directory
    )
    running.run(options, say, as_announced=as_announced)


@cli.command("demo")
def play_demo(broker: Broker = None, scale: Scale = "", directory: Directory = LOCAL) -> None:
    """Play a day of enrolments on databases of its own, check every seat and mail, write .local/demo.json.

    Without a broker, on the embedded one.
    """
    from local.demo.command import demo
    from local.services import parse_scale
    from local.stack import StackOptions

    options = StackOptions(broker=broker or "embedded", scale=parse_scale(scale), directory=directory)
    raise typer.Exit(demo(options, say))


@cli.command("year")
def play_year(broker: Broker = None, directory: Directory = LOCAL / "year") -> None:
    """Play a whole year on a moved clock and compare what everybody hears with what they are to hear.

    Without a broker, a year on each that can run.
    """
    from local.year.command import year

    raise typer.Exit(year(broker, directory, say))


@cli.command("rehearsal")
def play_rehearsal(
    broker: Broker = None,
    scale: Scale = "",
    directory: Directory = LOCAL,
    size: Annotated[
        float,
        typer.Option(min=0.001, max=1, help="1: 200,000 agents within 15 minutes; 0.1: a tenth in 90 s."),
    ] = 1,
) -> None:
    """Play the country's first hour, check every seat and mail, write .local/rehearsal.html.

    Without a broker, on Apache Kafka if it can run.
    """
    from local import running
    from local.rehearsal.command import rehearse
    from local.services import parse_scale
    from local.stack import StackOptions

    options = StackOptions(
        broker=broker or running.best_broker(say), scale=parse_scale(scale), directory=directory
    )
    raise typer.Exit(rehearse(options, say, size))


@cli.command("settings")
def print_settings(directory: Directory = LOCAL) -> None:
    """Print the settings of the stack that runs here, for the services' own commands: eval "$(…)"."""
    from local import running

    for name, value in running.settings(directory).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@cli.command()
def mailbox(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    smtp_port: Annotated[int, typer.Option(help="The port that takes mails.")] = 1025,
    http_port: Annotated[int, typer.Option(help="The port of the page.")] = 8025,
    directory: Annotated[Path, typer.Option(help="Where the mails are kept.")] = LOCAL / "mailbox",
) -> None:
    """Run the mailbox alone: an SMTP server that delivers nothing and shows each mail on a page."""
    from local.mailbox.serving import serve

    serve(host, smtp_port, http_port, directory, say)


@cli.command()
def portal(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port of its pages.")] = 8004,
    directory: Annotated[Path, typer.Option(help="Where it keeps what it sent.")] = LOCAL / "portal",
) -> None:
    """Run the example portal alone; its environment says who it is and where Kafka and the catalogue are."""
    from local.portal.serving import serve

    serve(host, port, directory, say)


def main() -> None:
    try:
        cli()
    except LocalStackError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
