"""``parcours portals list | check | new | rotate``: the entries of ``PORTALS_FILE``.

An entry is printed once, for the owner of the file, and its secret for the portal's team.
"""

import hashlib
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import SecretStr, ValidationError

from shared import clock
from shared.cli.running import load, run, stop
from shared.messaging.portals import registry
from shared.messaging.portals.registry import Key, Portal, Portals, PortalSettings, Token
from shared.messaging.portals.signatures import new_secret

app = typer.Typer(
    help="The portals that may make requests (PORTALS_FILE).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command("list", help="Every portal: whom it speaks for, its keys and until when they are valid.")
def list_() -> None:
    for portal in _portals():
        typer.echo(f"{portal.portal}\tissuer {portal.issuer}\t{portal.authentication}\t{portal.contact}")
        for key in portal.keys:
            typer.echo(f"  key {key.id}, {_until(key.not_after)}")
        for number, token in enumerate(portal.tokens, 1):
            typer.echo(f"  token {number}, {_until(token.not_after)}")
        typer.echo(f"  delegations: {_those(portal.delegations)}; sirets: {_those(portal.sirets)}")
        typer.echo(f"  answers: {_those(portal.answers)}")


@app.command("check", help="Say whether the file is valid, and what is wrong with it.")
def check() -> None:
    """End with 1 for a mistake in the file."""
    typer.echo(f"{len(list(_portals()))} portals, no mistake")


@app.command("new", help="Print an entry for the file with a new key and a new token.")
def new(
    name: str,
    *,
    contact: Annotated[str, typer.Option(help="Who to write to: an e-mail address.")],
    issuer: Annotated[
        str | None, typer.Option(help="Who gave its agents their ids. Default: the portal itself.")
    ] = None,
    delegation: Annotated[
        list[str] | None, typer.Option(help="Only agents of this one; may be repeated.")
    ] = None,
    siret: Annotated[
        list[str] | None, typer.Option(help="Only agents of this authority; may be repeated.")
    ] = None,
    answers: Annotated[
        list[str] | None, typer.Option(help="How it hears its answers; may be repeated. Default: http.")
    ] = None,
) -> None:
    if any(portal.portal == name for portal in _portals()):
        stop(f"There is a portal {name!r} already. To change its key: parcours portals rotate {name}")
    key, token, plain_token = _new_key(()), *_new_token()
    given = {
        "portal": name,
        "issuer": issuer or name,
        "contact": contact,
        "keys": (key,),
        "tokens": (token,),
        "delegations": delegation,
        "sirets": siret,
        "answers": answers or ["http"],
    }
    try:
        entry = Portal.model_validate(given)
    except ValidationError as error:
        stop(f"the entry was not made: {registry.first_mistake(error)}", 2)
    _print(entry, key, plain_token)


@app.command("rotate", help="Print the entry with a new key and token; the old ones end after some days.")
def rotate(
    name: str,
    days: Annotated[int, typer.Option(min=0, help="For how long the old key and token stay valid.")] = 7,
) -> None:
    """The portal can change over while both keys and tokens are valid."""
    portal = next((portal for portal in _portals() if portal.portal == name), None)
    if portal is None or name == registry.TRIAL_PORTAL:
        stop(f"There is no portal {name!r} in PORTALS_FILE. See: parcours portals list")
    key, token, plain_token = _new_key([key.id for key in portal.keys]), *_new_token()
    end = clock.now().replace(microsecond=0) + timedelta(days=days)
    old_keys = [old.model_copy(update={"not_after": _sooner(old.not_after, end)}) for old in portal.keys]
    old_tokens = [old.model_copy(update={"not_after": _sooner(old.not_after, end)}) for old in portal.tokens]
    entry = portal.model_copy(update={"keys": (*old_keys, key), "tokens": (*old_tokens, token)})
    _print(entry, key, plain_token)


def _portals() -> Portals:
    settings = load(PortalSettings)
    try:
        return registry.read(settings.portals_file, trial=settings.parcours_trial)
    except registry.UnreadablePortals as error:
        stop(str(error))


def _new_key(taken: Collection[str]) -> Key:
    """Name the key after the month: 2026-11, 2026-11-2 and so on."""
    month = clock.now().strftime("%Y-%m")
    names = [month, *(f"{month}-{number}" for number in range(2, len(taken) + 2))]
    return Key(id=next(name for name in names if name not in taken), secret=SecretStr(new_secret()))


def _new_token() -> tuple[Token, str]:
    plain = secrets.token_urlsafe(32)
    return Token(sha256=hashlib.sha256(plain.encode()).hexdigest()), plain


def _sooner(not_after: datetime | None, end: datetime) -> datetime:
    return end if not_after is None else min(not_after, end)


def _print(entry: Portal, key: Key, token: str) -> None:
    typer.echo("For PORTALS_FILE, a JSON list of such entries:")
    typer.echo(entry.with_secrets())
    typer.echo("\nFor the portal's team; shown once, and kept nowhere but in the file:")
    typer.echo(f"  key id  {key.id}\n  secret  {key.secret.get_secret_value()}\n  token   {token}")


def _until(not_after: datetime | None) -> str:
    return "without end" if not_after is None else f"until {not_after.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def _those(values: Collection[str] | None) -> str:
    return "all" if values is None else ", ".join(sorted(values)) or "none"


if __name__ == "__main__":
    run(app)
