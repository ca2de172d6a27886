"""The registers of personal data of all services: ``docs/personal-data.md``, and the part of the public page.

``python -m services.register write`` writes both. ``check`` fails if a stored file differs.
"""

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, starmap
from pathlib import Path

from pydantic.fields import FieldInfo

from services.catalogue import personal_data as catalogue
from services.catalogue.settings import Settings as CatalogueSettings
from services.enrolment import personal_data as enrolment
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier import personal_data as notifier
from services.notifier.settings import Settings as NotifierSettings
from shared.messaging import personal_data as messaging
from shared.personal_data import PersonalData, Whose
from shared.web import logins
from shared.web.french import plural, typeset

DOCUMENT = Path(__file__).parents[1] / "docs" / "personal-data.md"
PAGE = Path(__file__).parent / "catalogue" / "templates" / "registre.html"

_EVERYWHERE = [*messaging.REGISTER.personal_data, *logins.REGISTER.personal_data]
PARTS: Mapping[str, Sequence[PersonalData]] = {
    "Inscriptions": enrolment.REGISTER.personal_data,
    "Courriels": notifier.REGISTER.personal_data,
    "Catalogue": catalogue.REGISTER.personal_data,
}
_SETTINGS: Mapping[str, FieldInfo] = {
    **CatalogueSettings.model_fields,
    **EnrolmentSettings.model_fields,
    **NotifierSettings.model_fields,
}

_HEAD = """# Registre des données personnelles

`make contracts` écrit ce registre à partir du code (`services/*/personal_data.py`). Les tests échouent si une
colonne qui contient des données personnelles n’y figure pas. Base légale : la mission de service public du
CNFPT (article 6, 1, e du RGPD). Pour chaque table, chaque ligne dit de qui sont les données (sans mention :
des agentes et agents territoriaux), lesquelles, pour quoi, et combien de temps elles sont gardées si
l’installation ne choisit pas d’autre durée (« De même » : comme la ligne d’avant). `agent_id` est
l’identifiant d’un agent, et `issuer` dit qui l’a donné.
"""
_OF_AGENTS = {"issuer": "qui a donné l’identifiant de l’agent", "agent_id": "identifiant de l’agent"}
_DAYS = '{% macro days(number) %}{{ number }} {{ french.plural(number, "jour") }}{% endmacro %}'


def document() -> str:
    """The last part has the data that every service keeps."""
    parts = {title: [_item(held) for held in held_here] for title, held_here in _parts()}
    everywhere = [item for item in parts["Catalogue"] if all(item in parts[title] for title in PARTS)]
    lines = [_HEAD]
    for title, items in parts.items():
        shown = dict.fromkeys([item for item in items if item not in everywhere])
        tables: dict[str, list[tuple[str, str]]] = {}
        for table, held, kept in shown if title in PARTS else [*shown, *dict.fromkeys(everywhere)]:
            tables.setdefault(table, [("", "")]).append((held, kept))
        lines.append(f"## {title}\n")
        for table, rows in tables.items():
            lines += [f"**`{table}`**\n", *starmap(_line, pairwise(rows)), ""]
    return "\n".join(lines)


def page() -> str:
    """By the persons, then by the service. The installation's settings give the periods."""
    lines = ["{# Written by make contracts from services/*/personal_data.py. #}", _DAYS]
    entries: dict[str, dict[str, dict[str, None]]] = {Whose.AGENTS.value: {}}  # agents come first
    for title, held_here in _parts():
        for held in held_here:
            entries.setdefault(held.whose.value, {}).setdefault(title, {})[_entry(held)] = None
    for whose, of_whose in entries.items():
        lines += ["<details>", f"<summary>{whose[0].upper()}{whose[1:]}</summary>"]
        for title, of_part in of_whose.items():
            lines += [f"<h3>{title}</h3>", *of_part]
        lines.append("</details>")
    return typeset("\n".join(lines)) + "\n"


def _parts() -> Iterator[tuple[str, Sequence[PersonalData]]]:
    for title, held_here in PARTS.items():
        yield title, [held for held in held_here if held not in _EVERYWHERE]
    yield "Échanges entre les parties, et connexions", _EVERYWHERE


def _kept(days: int | str) -> str:
    """The catalogue's template renders the period: its site has the settings of all services."""
    return f"{{{{ days(site.kept_days.{days}) }}}}" if isinstance(days, str) else _number(days)


def _default(days: int | str) -> str:
    return _number(_SETTINGS[days].default if isinstance(days, str) else days)


def _number(days: int) -> str:
    return f"{days} {plural(days, 'jour')}" if days else "une heure au plus"


def _entry(held: PersonalData) -> str:
    what = " ; ".join(dict.fromkeys(held.columns.values()))
    return "\n".join(
        (
            '<dl class="facts">',
            f"<div><dt>Quoi</dt><dd>{_sentence(what)}</dd></div>",
            f"<div><dt>Pourquoi</dt><dd>{held.purpose}</dd></div>",
            f"<div><dt>Combien de temps</dt><dd>{_sentence(_duration(held, _kept))}</dd></div>",
            "</dl>",
        )
    )


def _item(held: PersonalData) -> tuple[str, str, str]:
    columns = ", ".join(
        f"`{name}`" if what == _OF_AGENTS.get(name) else f"`{name}` ({what})"
        for name, what in held.columns.items()
    )
    whose = "" if held.whose is Whose.AGENTS else f"{_sentence(held.whose.value)} "
    text = f"- {whose}{columns}. {held.purpose}"
    return str(held.table.__tablename__), text, _sentence(_duration(held, _default))


def _line(before: tuple[str, str], row: tuple[str, str]) -> str:
    text = f"{row[0]} {'De même.' if row[1] == before[1] else row[1]}"
    return textwrap.fill(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _duration(held: PersonalData, written: Callable[[int | str], str]) -> str:
    ends = [f"{written(retention.days)} après {retention.since}" for retention in held.ends]
    until = f"jusqu’à ce que {held.until}" if held.until else ""
    return ", puis ".join(filter(None, (until, " ; ".join(ends))))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def main(arguments: list[str]) -> int:
    if arguments not in (["write"], ["check"]):
        sys.stderr.write("usage: python -m services.register write|check\n")
        return 2
    files = {DOCUMENT: document(), PAGE: page()}
    if arguments == ["write"]:
        for path, text in files.items():
            path.write_text(text)
        return 0
    different = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in different:
        sys.stderr.write(f"{path} is not as the code is: run 'make contracts'.\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
