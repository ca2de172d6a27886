import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from shared.cli.definition import Definition, in_database
from shared.cli.running import load
from shared.database import Database
from shared.observability import configure_logging, log_what_nobody_catches

_OF_ALL = {
    "topics": "shared.cli.messaging",
    "dead-letters": "shared.cli.dead_letters",
    "outbox": "shared.cli.outbox",
    "projections": "shared.cli.projections",
}


def later(modules: Mapping[str, str], definition: Definition) -> type[TyperGroup]:
    """Return a class of groups that imports the module of a command when it is called, or listed by --help.

    The module has a function ``add_to(app, definition)``.
    """

    # typer has its own copy of click, and gives its types no public names.
    class LazyGroup(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return [*super().list_commands(ctx), *modules]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in modules:
                return super().get_command(ctx, cmd_name)
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            import_module(modules[cmd_name]).add_to(app, definition)
            return get_group(app).commands[cmd_name]

    return LazyGroup


def service_cli(definition: Definition, own: Mapping[str, str] = MappingProxyType({})) -> typer.Typer:
    """``own`` names the modules of the commands that only this service has (:func:`later`)."""
    app = typer.Typer(
        name=definition.name,
        help=f"Parcours: the {definition.name} service.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        cls=later({**_OF_ALL, **own}, definition),
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
        in_database(definition, _nothing)
        migrations.upgrade(url, definition.revisions)
        typer.echo(f"The database of {definition.name} is up to date.")

    @app.command("make-migration", help="Write a revision from what differs between code and database.")
    def make_migration(message: str) -> None:
        from shared import migrations  # noqa: PLC0415

        url = load(definition.settings).database_url
        migrations.make(url, definition.revisions, definition.metadata(), message)

    return app


def _run_fast(work: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(work)
    else:
        import uvloop  # noqa: PLC0415 uvloop does not exist on Windows

        uvloop.run(work)


async def _nothing(_database: Database) -> None:
    pass
