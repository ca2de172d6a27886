"""The command line of every service: ``python -m services.<name> serve | migrate | …``.

A user's mistake shows one clear line and a code that is not zero, never a traceback.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any

import typer
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from shared.auth import UnreadableTokens
from shared.cli.dead_letters import dead_letter_commands
from shared.cli.definition import Definition, in_process, load, stop
from shared.cli.messaging import topics_commands
from shared.cli.outbox import outbox_commands
from shared.cli.projections import projections_commands
from shared.database import DatabaseUnreachable, is_temporary
from shared.messaging.history import HistoryCut
from shared.messaging.portals.registry import UnreadablePortals
from shared.messaging.rewind import GroupInUse
from shared.messaging.topics import TopicsDiffer
from shared.observability import configure_logging, configure_security_log, log_what_nobody_catches
from shared.process import CannotRun, Process, tune_gc

__all__ = ["Definition", "in_process", "load", "run", "service_cli", "stop"]

_MISTAKES = (
    CannotRun,
    DatabaseUnreachable,
    GroupInUse,
    HistoryCut,
    TopicsDiffer,
    UnreadablePortals,
    UnreadableTokens,
)
_NO_SUCH_TABLE = "42P01"


def service_cli(definition: Definition) -> typer.Typer:
    app = typer.Typer(
        name=definition.name,
        help=f"Parcours: the {definition.name} service.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.command("serve", help="Run the service until SIGTERM.")
    def serve() -> None:
        if os.environ.get("LOG_FORMAT") == "json":  # also errors about the settings
            configure_logging("json", "INFO", definition.name)
        settings = load(definition.settings)
        configure_logging(settings.log_format, settings.log_level, definition.name)
        log_what_nobody_catches()
        _run_fast(definition.compose(settings).run())

    @app.command("migrate", help="Bring the database to this version.")
    def migrate() -> None:
        from shared import migrations  # noqa: PLC0415 a process that serves needs no Alembic

        url = load(definition.settings).database_url
        in_process(definition, _nothing)
        migrations.upgrade(url, definition.revisions, definition.metadata)
        typer.echo(f"The database of {definition.name} is up to date.")

    @app.command("make-migration", help="Write a revision from what differs between code and database.")
    def make_migration(message: str) -> None:
        from shared import migrations  # noqa: PLC0415

        url = load(definition.settings).database_url
        migrations.make(url, definition.revisions, definition.metadata, message)

    app.add_typer(topics_commands(definition), name="topics")
    app.add_typer(dead_letter_commands(definition), name="dead-letters")
    app.add_typer(outbox_commands(definition), name="outbox")
    app.add_typer(projections_commands(definition), name="projections")
    return app


def run(app: typer.Typer) -> None:
    """Show a failure in one line, and exit with 1."""
    tune_gc()
    # For commands that configure no logging: the line below already has aiokafka's failure.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    configure_security_log("json" if os.environ.get("LOG_FORMAT") == "json" else "console")
    # The name with which `services/__main__.py` was called. click would name a module that does not exist.
    by_name = sys.argv[0] if sys.argv[0].startswith("parcours") else None
    try:
        app(prog_name=by_name)
    except _MISTAKES as error:
        stop(str(error))
    except KafkaError as error:
        stop(f"Kafka cannot be used ({error}). Check that it runs and that KAFKA_BOOTSTRAP_SERVERS is right.")
    except (DBAPIError, OSError) as error:
        if not is_temporary(error):
            raise
        cause = getattr(error, "orig", None) or error
        line = (str(cause).splitlines() or [type(error).__name__])[0]
        if getattr(cause, "sqlstate", None) == _NO_SUCH_TABLE:
            how = "run the command 'migrate' first, as the owner of the tables"
            stop(f"The database is not at this version ({line}): {how}.")
        stop(f"The database or network failed: {line}")


def _run_fast(work: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(work)
    else:
        import uvloop  # noqa: PLC0415 uvloop does not exist on Windows

        uvloop.run(work)


async def _nothing(_process: Process) -> None:
    pass
