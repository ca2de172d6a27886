from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from services.catalogue.definition import DEFINITION
from services.catalogue.offer_files.reading import OFFER, OfferError, read, whole_weeks_since
from services.catalogue.service import loading
from shared import revisions
from shared.cli.definition import Definition, in_database
from shared.cli.running import stop
from shared.database import Database
from shared.failures import OperatorError


def add_to(app: typer.Typer, _definition: Definition) -> None:
    app.command(
        "load-offer", help="Publish the offer of the files: what is new, what changed, nothing twice."
    )(load_offer)


def load_offer(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Move all dates by whole weeks, so that this one falls into the seven days that end today.",
        ),
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="The folder of the offer's *.yaml files.", show_default=False)
    ] = OFFER,
    if_none: Annotated[
        bool, typer.Option("--if-none", help="Load nothing where there is an offer already: for a trial.")
    ] = False,
) -> None:
    shift = timedelta(0) if as_of is None else whole_weeks_since(as_of.date())

    async def load(database: Database) -> loading.Summary | str:
        lacking = await revisions.missing(database, DEFINITION.revisions)
        if lacking is not None:
            how = "run 'python -m services.catalogue migrate' first, as the owner of the tables"
            raise OperatorError(f"{lacking}: {how}.")
        files = read(directory, shift=shift)
        async with database.transaction() as tx:
            if if_none and await loading.has_been_done(tx):
                return "There is an offer already: nothing was loaded."
            return await loading.load(tx, files)

    try:
        typer.echo(in_database(DEFINITION, load))
    except OfferError as error:
        stop(f"the offer was not loaded.\n{error}")
