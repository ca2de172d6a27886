from collections.abc import Sequence

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request

from local.people import Agent
from local.portal import people
from local.portal.people import AUTHORITIES, FUNCTIONS

NO_ADDRESS = "Indiquez une adresse de la forme prenom.nom@ville.example."


class Form(ImmutableMultiDict[str, str]):
    """The fields of a form, and by field what is wrong with it. A field that was not sent is empty."""

    def __init__(self, fields: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(fields)
        self.errors: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        return self._dict.get(name, "")


async def sent_form(request: Request) -> Form:
    origin = request.headers.get("origin", "")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403)
    fields = (await request.form(max_files=0)).multi_items()
    return Form([(name, value) for name, value in fields if isinstance(value, str)])


def new_agent(form: Form) -> Agent | None:
    """Return the agent whom the form describes, or None if it has errors."""
    given, family, email = (form[name].strip() for name in ("prenom", "nom", "courriel"))
    if not 0 < len(given) <= 100:
        form.errors["prenom"] = "Indiquez un prénom."
    if not 0 < len(family) <= 100:
        form.errors["nom"] = "Indiquez un nom."
    if not is_address(email):
        form.errors["courriel"] = NO_ADDRESS
    if form["fonction"] not in FUNCTIONS or form["siret"] not in AUTHORITIES:
        form.errors["fonction"] = "Choisissez une fonction et un employeur."
    if form.errors:
        return None
    return people.new_agent(given, family, form["fonction"], AUTHORITIES[form["siret"]], email)


def is_address(text: str) -> bool:
    name, _, domain = text.partition("@")
    return bool(name) and "." in domain.strip(".") and not any(character in text for character in " ,;<>")


def whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
