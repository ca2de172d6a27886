"""``parcours tokens list | check | new | revoke``: the entries of ``API_TOKENS_FILE``.

The new content is printed for the file's owner.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings

from shared import clock
from shared.cli.running import load, run, stop
from shared.permissions import Role
from shared.token_file import TokenEntry, UnreadableTokens, read_tokens

app = typer.Typer(
    help="The tokens of people and machines (API_TOKENS_FILE).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


class _Settings(BaseSettings):
    api_tokens_file: Path | None = Field(default=None)
    parcours_trial: bool = False


@app.command("list", help="Every token: whose it is, what it may do, and until when.")
def list_() -> None:
    for entry in _entries():
        where = f"of {entry.delegation}" if entry.delegation else "everywhere"
        until = (
            "without end"
            if entry.not_after is None
            else f"until {entry.not_after.astimezone(UTC):%Y-%m-%d %H:%M}Z"
        )
        typer.echo(f"{entry.name}\t{entry.role}\t{where}\t{until}")


@app.command("check", help="Say whether the file is valid, and what is wrong with it.")
def check() -> None:
    """Exit with status 1 if the file has a mistake."""
    typer.echo(f"{len(_entries())} tokens, no mistake")


@app.command("new", help="Print the file with one more token, and the token.")
def new(
    name: str,
    *,
    role: Annotated[Role, typer.Option(help="What it may do.")],
    delegation: Annotated[str | None, typer.Option(help="Where it may act. Default: everywhere.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="For how long. Default: without end.")] = None,
) -> None:
    """Print the file with one more entry, and a token of 32 random bytes."""
    entries = _entries()
    if any(entry.name == name for entry in entries):
        stop(f"There is a token of {name!r} already. To end it: parcours tokens revoke {name}")
    token = secrets.token_urlsafe(32)
    end = None if days is None else clock.now().replace(microsecond=0) + timedelta(days=days)
    given = {
        "name": name,
        "role": role,
        "delegation": delegation,
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
        "not_after": end,
    }
    try:
        entry = TokenEntry.model_validate(given)
    except ValidationError as error:
        stop(f"the entry was not made: {error.errors(include_input=False)[0]['msg']}", 2)
    _print([*entries, entry])
    typer.echo(f"\nFor {name}; shown once, and kept nowhere:\n  token   {token}")


@app.command("revoke", help="Print the file without the token of that name.")
def revoke(name: str) -> None:
    entries = _entries()
    left = [entry for entry in entries if entry.name != name]
    if len(left) == len(entries):
        stop(f"There is no token of {name!r} in API_TOKENS_FILE. See: parcours tokens list")
    _print(left)


def _entries() -> list[TokenEntry]:
    settings = load(_Settings)
    try:
        return read_tokens(settings.api_tokens_file, trial=settings.parcours_trial)
    except UnreadableTokens as error:
        stop(str(error))


def _print(entries: Sequence[TokenEntry]) -> None:
    typer.echo("For API_TOKENS_FILE:")
    typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))


if __name__ == "__main__":
    run(app)
