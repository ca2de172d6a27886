"""What is kept of somebody, as a page that they can read and print (article 15 of the RGPD)."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.events.vocabulary import AgentKey
from shared.personal_data import PersonalData, Register
from shared.web import french
from shared.web.rendering import TEMPLATES

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""What is kept, by table: each row by column."""


@dataclass(frozen=True, slots=True)
class KeptTable:
    """What one table keeps of the agent: what for, and its rows, each as names and texts in French."""

    purpose: str
    rows: Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class ServicePart:
    """What one service keeps of the agent, and its register, which explains it."""

    title: str
    register: Register
    rows: Rows

    @property
    def kept(self) -> list[KeptTable]:
        """What is kept, table by table; the register may have several entries for one.

        Numbers of our own are left out, and what two rows say alike is said once.
        """
        entries: dict[str, list[PersonalData]] = {table: [] for table in self.rows}
        for held in self.register.personal_data:
            entries.get(str(held.table.__tablename__), []).append(held)
        return [
            KeptTable(
                of_table[0].purpose,
                _readable(self.rows[table], [*_COLUMNS.items(), *_columns_of(of_table)]),
            )
            for table, of_table in entries.items()
        ]


def _columns_of(entries: Sequence[PersonalData]) -> list[tuple[str, str]]:
    return [item for entry in entries for item in entry.columns.items()]


def _readable(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]
) -> list[tuple[tuple[str, str], ...]]:
    names = dict(columns)
    shown = [
        tuple((names[name], text_of(row[name])) for name in names if row.get(name) not in (None, ""))
        for row in rows
    ]
    return list(dict.fromkeys(shown))


def text_of(value: Any) -> str:
    """Return a value as a person reads it: moments in Paris' time, what is in objects line by line."""
    match value:
        case dict():
            return "\n".join(
                f"{_FIELDS.get(name, name)}{french.NBSP}: {text_of(inner)}"
                for name, inner in value.items()
                if inner not in (None, "", [], {})
            )
        case list():
            return "\n".join(map(text_of, value))
        case bool():
            return "oui" if value else "non"
        case str() if _IS_MOMENT(value):
            return french.moment(datetime.fromisoformat(value), "Europe/Paris")
        case str() if value.startswith(("{", "[")):
            return _text_of_json(value)
    return str(value)


def _text_of_json(text: str) -> str:
    try:
        return text_of(json.loads(text))
    except ValueError:
        return text


_IS_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)").fullmatch
_COLUMNS: Mapping[str, str] = {
    "about": "numéro de ce qui a été consulté",
    "at": "date",
    "created_at": "enregistré le",
    "decided_at": "décidé le",
    "kind": "nature",
    "module": "séance, la première étant 0",
    "received_at": "reçu le",
    "role": "rôle",
    "sent_at": "envoyé le",
    "settled_at": "envoyé ou abandonné le",
    "since": "depuis le",
    "state": "état",
    "template": "lettre",
    "topic": "journal",
    "type": "nature de l’événement",
    "updated_at": "modifié le",
}
"""Columns that are not about a person by themselves, as the page names them."""
_FIELDS: Mapping[str, str] = {
    "agent": "agent",
    "agent_id": "identifiant",
    "delegation": "délégation",
    "email": "courriel",
    "employer": "employeur",
    "family_name": "nom",
    "function": "fonction",
    "given_name": "prénom",
    "issuer": "émetteur de l’identifiant",
    "name": "nom",
    "siret": "SIRET",
}
"""Fields of events, as the page names them; others keep their names."""


def page(who: AgentKey | str, parts: Sequence[ServicePart], now: datetime) -> str:
    """Return the page, in French, for an agent, or for who is known by an address alone."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("agent-export.html")
    named = who if isinstance(who, str) else f"{who.agent_id}, donné par {who.issuer}"
    return template.render(
        title="Adresse" if isinstance(who, str) else "Identifiant",
        named=named,
        is_agent=isinstance(who, AgentKey),
        parts=parts,
        day=french.day(now),
    )
