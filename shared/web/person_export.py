"""What is kept of a person, as a page to read and print (article 15 of the RGPD)."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared import read_log
from shared.events.vocabulary import AgentKey
from shared.events.zones import PARIS
from shared.personal_data import PersonalData, Register
from shared.process import Process
from shared.read_log import Reading, ReadKind
from shared.web import french, labels

ExportedRow = Mapping[str, Any]
ExportedRows = Mapping[str, Sequence[ExportedRow]]

_TECHNICAL = frozenset(("outbox", "dead_letter", "dead_letter_audit"))
"""Tables of events between services, which mostly repeat the other tables."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    session: str
    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class KeptTable:
    title: str
    purpose: str
    is_technical: bool
    rows: Sequence[KeptRow]


@dataclass(frozen=True, slots=True)
class ServicePart:
    title: str
    register: Register
    rows: ExportedRows

    @property
    def kept(self) -> list[KeptTable]:
        """Enrolments come first, technical tables last.

        The register may have several entries for one table. Each row is shown, without our own numbers.
        """
        entries: dict[str, list[PersonalData]] = {table: [] for table in sorted(self.rows, key=_place)}
        for held in self.register.personal_data:
            entries.get(str(held.table.__tablename__), []).append(held)
        return [
            KeptTable(
                _TABLES.get(table, of_table[0].purpose),
                of_table[0].purpose,
                table in _TECHNICAL,
                _readable(table, self.rows[table], of_table),
            )
            for table, of_table in entries.items()
        ]


def _place(table: str) -> tuple[bool, int]:
    known = list(_TABLES)
    return table in _TECHNICAL, known.index(table) if table in known else len(known)


def _readable(table: str, rows: Sequence[ExportedRow], entries: Sequence[PersonalData]) -> list[KeptRow]:
    # Of several entries the first gives a column's name.
    columns = {name: what for held in reversed(entries) for name, what in held.columns.items()}
    names = {**_COLUMNS, **columns}
    return [
        KeptRow(
            row.get("session", {}).get("title", ""),
            [
                *_of_session(row),
                *(
                    (names[name], _text_in(table, name, row[name], _zone_of(row)))
                    for name in names
                    if row.get(name) not in (None, "", {}, [])
                ),
            ],
        )
        for row in sorted(rows, key=_moment_of)
    ]


def _of_session(row: ExportedRow) -> list[tuple[str, str]]:
    session = row.get("session")
    if not session:
        return []
    first, last = (datetime.fromisoformat(session[name]) for name in ("starts_at", "ends_at"))
    return [
        ("session", session["title"]),
        ("dates de la session", french.period(first, last, session["timezone"])),
    ]


def _zone_of(row: ExportedRow) -> str:
    return str((row.get("session") or {}).get("timezone", PARIS))


def _moment_of(row: ExportedRow) -> tuple[str, int]:
    moment = next((row[name] for name in _MOMENTS if row.get(name)), "")
    return moment, row.get("module") or 0


def _text_in(table: str, name: str, value: Any, timezone: str) -> str:
    match name, value:
        case "module", int():
            return str(value + 1)  # tables count from 0, decisions from 1
        case "value", list():
            return "\n".join(labels.ADJUSTMENTS.get(code, code) for code in value)
        case "interest", str():
            kind, _, which = value.partition(":")
            title = _INTERESTS.get(kind, {}).get(which, which)
            return f"{labels.INTERESTS.get(kind, kind)}{french.NBSP}: {title}"
        case "action", str():
            begins = next((known for known in labels.MAIL_DECISIONS if value.startswith(known)), "")
            return value.replace(begins, labels.MAIL_DECISIONS[begins], 1) if begins else value
    known_labels = _LABELS.get((table, name)) or _LABELS_ANYWHERE.get(name, {})
    return (
        known_labels[value] if isinstance(value, str) and value in known_labels else text_of(value, timezone)
    )


def text_of(value: Any, timezone: str = PARIS) -> str:
    """Return a value for a person: moments in this time zone, objects line by line."""
    match value:
        case dict():
            return "\n".join(
                f"{_FIELDS.get(name, name)}{french.NBSP}: {_text_of_field(name, inner, timezone)}"
                for name, inner in value.items()
                if inner not in (None, "", [], {})
            )
        case list():
            return "\n".join(text_of(item, timezone) for item in value)
        case bool():
            return "oui" if value else "non"
        case str() if _IS_MOMENT(value):
            return french.moment(datetime.fromisoformat(value), timezone)
        case str() if value.startswith(("{", "[")):
            return _text_of_json(value, timezone)
    return str(value)


def _text_of_field(name: str, value: Any, timezone: str) -> str:
    known_labels = _LABELS_ANYWHERE.get(name, {})
    return (
        known_labels[value] if isinstance(value, str) and value in known_labels else text_of(value, timezone)
    )


def _text_of_json(text: str, timezone: str) -> str:
    try:
        return text_of(json.loads(text), timezone)
    except ValueError:
        return text


_IS_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)").fullmatch
_MOMENTS = ("received_at", "recorded_at", "at", "called_for_at", "since", "created_at", "requested_at")
"""Columns with the time of a row; the first that the row has counts."""
_TABLES: Mapping[str, str] = {
    "enrolment": "Vos inscriptions",
    "timeline": "Ce qui est arrivé à vos demandes",
    "attendance": "Votre présence",
    "question_answer": "Vos réponses aux questions à l’inscription",
    "certificate": "Vos attestations",
    "enrolment_change": "Changements d’inscriptions",
    "request": "Les demandes faites pour vous",
    "correction": "Corrections d’un nom ou d’un courriel",
    "address_hold": "Votre adresse d’avant une correction",
    "subscriber": "Votre abonnement aux nouveautés",
    "subscription": "Ce que vous suivez",
    "agent_detail": "Ce que votre portail a dit de vous en dernier",
    "ended_subscription": "Ce que vous ne suivez plus",
    "subscription_request": "Vos demandes d’abonnement",
    "bespoke_request": "Les demandes de formation sur mesure",
    "mail": "Les courriels qui vous sont destinés",
    "mail_attempt": "Envois de ces courriels, et réponses du serveur de messagerie",
    "mail_audit": "Décisions sur des courriels",
    "former_address": "Vos anciennes adresses",
    "bad_address": "Vos courriels qui reviennent",
    "bounce": "Vos courriels revenus",
    "suppression": "L’adresse à laquelle nous n’écrivons plus",
    "read_log": "Consultations de données",
    "login": "Vos connexions",
    "outbox": "Événements échangés entre les parties du logiciel",
    "dead_letter": "Demandes mises de côté",
    "dead_letter_audit": "Décisions sur les demandes mises de côté",
}
_COLUMNS: Mapping[str, str] = {
    "about": "numéro de ce qui a été consulté",
    "action": "décision",
    "actor": "par",
    "at": "date",
    "called_for_at": "demandé le",
    "created_at": "enregistré le",
    "decided_at": "décidé le",
    "hold_until": "place gardée jusqu’au",
    "kind": "nature",
    "module": "séance",
    "received_at": "reçu le",
    "recorded_at": "relevé le",
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
_FIELDS: Mapping[str, str] = {
    "address_corrected_at": "adresse corrigée le",
    "address_corrected_by": "adresse corrigée par",
    "address_corrected_request": "numéro de cette correction",
    "agent": "agent",
    "agent_id": "identifiant",
    "attendance": "présence",
    "author": "par",
    "awaiting": "en attente de",
    "capacity": "places",
    "delegation": "délégation",
    "email": "courriel",
    "employer": "employeur",
    "enrolled": "personnes inscrites",
    "family_name": "nom",
    "function": "fonction",
    "given_name": "prénom",
    "hold_until": "place gardée jusqu’au",
    "issuer": "émetteur de l’identifiant",
    "link_sent_to": "par un lien envoyé à",
    "module": "séance",
    "moment": "moment",
    "name": "nom",
    "offered": "places proposées",
    "place_in_line": "place dans la liste d’attente",
    "reason": "raison",
    "session_version": "version de la session",
    "siret": "SIRET",
    "waiting": "personnes en attente",
}
_INTERESTS: Mapping[str, Mapping[str, str]] = {
    "theme": labels.THEMES,
    "delegation": labels.DELEGATIONS,
    "offer": labels.OFFERS,
}
_IN_YOUR_NAME: Mapping[str, str] = {"agent": "demandé en votre nom", "declined": "refusée en votre nom"}
"""A portal, an organiser or the reader of a link may have asked."""
_LABELS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("bespoke_request", "state"): labels.BESPOKE_STATES,
    ("bounce", "kind"): labels.RETURNS,
    ("enrolment", "state"): labels.ENROLMENT_STATES,
    ("enrolment_change", "state"): labels.ENROLMENT_STATES,
    ("mail", "state"): labels.MAIL_STATES,
    ("mail_attempt", "state"): labels.MAIL_STATES,
    ("read_log", "kind"): labels.READS,
    ("request", "kind"): labels.REQUESTS,
    ("suppression", "kind"): labels.RETURNS,
    ("timeline", "kind"): labels.HAPPENINGS,
    ("timeline", "reason"): {**labels.REFUSALS, **labels.HAPPENED_BECAUSE, **_IN_YOUR_NAME},
}
_LABELS_ANYWHERE: Mapping[str, Mapping[Any, str]] = {
    "address_corrected_by": labels.CORRECTED_BY,
    "attendance": labels.ATTENDANCE,
    "delegation": labels.DELEGATIONS,
    "function": labels.FUNCTIONS,
    "outcome": labels.OUTCOMES,
    "reason": labels.REFUSALS,
    "role": labels.ROLES,
    "standing": labels.STANDINGS,
    "template": labels.LETTERS,
}


async def kept_by(process: Process, who: AgentKey | str, reading: Reading) -> ServicePart:
    """The read is recorded if anything is kept."""
    async with process.database.quiet_transaction() as tx:
        kept = await process.eraser.export(tx, who)
        if kept:
            agents = [] if isinstance(who, str) else [who]
            await read_log.record(tx, reading, ReadKind.EXPORT, agents=agents)
    return ServicePart(labels.SERVICES[process.name], process.register, kept)


def page(who: AgentKey | str, parts: Sequence[ServicePart], now: datetime) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("person-export.html")
    return template.render(
        agent=who if isinstance(who, AgentKey) else None,
        address=None if isinstance(who, AgentKey) else who,
        parts=parts,
        day=french.day(now),
    )
