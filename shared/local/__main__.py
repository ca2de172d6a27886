"""The commands of the local stack: `python -m shared.local run | demo | mailbox`."""

from pathlib import Path
from typing import Annotated

import typer

from shared.local.failures import LocalStackError
from shared.local.mailbox import serve
from shared.local.places import LOCAL

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The whole system on this machine, without Docker."
)


@cli.callback()
def local() -> None:
    """Run Parcours on this machine."""


@cli.command()
def mailbox(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    smtp_port: Annotated[int, typer.Option(help="The port that takes mails.")] = 1025,
    http_port: Annotated[int, typer.Option(help="The port of the page.")] = 8025,
    directory: Annotated[Path, typer.Option(help="Where the mails are kept.")] = LOCAL / "mailbox",
) -> None:
    """Run the mailbox alone: an SMTP server that delivers nothing and shows each mail on a page."""
    serve(host, smtp_port, http_port, directory, typer.echo)


def main() -> None:
    """Run the command line; a failure that we know is one line, never a traceback."""
    try:
        cli()
    except LocalStackError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
