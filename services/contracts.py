"""Documents made from the code: JSON Schemas, AsyncAPI 3.0, refusal reasons and permissions.

``python -m services.contracts write`` writes them, and refuses if a v1 contract would break. ``check`` fails
if a stored document differs from the code.
"""

import json
import sys
from pathlib import Path
from typing import Any

from faststream import ContextRepo

from services.catalogue import handlers as catalogue
from services.enrolment import handlers as enrolment
from services.notifier import handlers as notifier
from shared.database import Database
from shared.events.documents import FOLDER, broken_promises, schema
from shared.events.index import EVENTS
from shared.events.reasons import DecidedBy, Reason, Refusal
from shared.messaging import asyncapi
from shared.messaging.broker import KafkaSettings
from shared.messaging.faststream import new_broker
from shared.permissions import Caller, Permission, Role
from shared.web.french import capitalised

ROUTERS = {router.service: router for router in (catalogue.router, enrolment.router, notifier.router)}

REASONS = FOLDER.parent / "refusal-reasons.md"
PORTAL_REASONS = Path(__file__).parents[1] / "local" / "portal" / "templates" / "reasons.html"

_REASONS_HEAD = """# Refusal reasons

`make contracts` writes this list from `shared/events/reasons.py`. A refused request has one of these codes
in `EnrolmentRefused.reason` and in `GET /api/v1/requests/{ce_id}`. `/problems/<code>` explains each code in
French and English. The rules decide, where nobody else is named.
"""

PERMISSIONS = FOLDER.parent / "permissions.md"

_PERMISSIONS_HEAD = """# Permissions

`make contracts` writes this table from `shared/permissions.py`. Each page and each operation names a row,
and lets in only the callers of that row. Some pages check another row for an act: to change an offer on its
page, to send a mail again on its page, to see the state of a service, to export many people, and to end
log-ins. A cell says where:

- *everywhere*;
- *delegation*: in the delegation of the token or log-in, or everywhere if it names none;
- *all delegations*: only with a token or log-in that names no delegation;
- *own*: a portal for the agents of its issuer, a reader for what the link is about, staff for their log-ins;
- *trial*: only with `PARCOURS_TRIAL=1`.

On pages, the log-in is *strong* if the provider proved a second factor, and *recent* if the person proved who
they are less than 15 minutes ago ([ADR 0070](adr/0070-log-ins-as-strong-as-the-act.md)).

What belongs to another delegation or portal is answered like what does not exist. A *reader* has the signed
link of a letter, or of a log-in that a letter has confirmed.

| permission | action | anybody | reader | portal | organiser | support | admin |
|---|---|---|---|---|---|---|---|"""
_CALLERS = (*Caller, Role.ORGANISER, Role.SUPPORT, Role.ADMIN)

_NO_DATABASE = "postgresql://nobody@localhost/nowhere"
_ANY_KAFKA = KafkaSettings(kafka_bootstrap_servers="kafka:9092")


def documents(folder: Path = FOLDER) -> dict[Path, str]:
    schemas = {folder / "schemas" / f"{event.TYPE}.json": _text(schema(event)) for event in EVENTS}
    services = {folder / f"{service}.json": _text(asyncapi_of(service)) for service in ROUTERS}
    portal = {folder / "portal.json": _text(asyncapi.portal_document(_examples()))}
    return (
        schemas
        | services
        | portal
        | {
            REASONS: _reasons(),
            PORTAL_REASONS: _portal_reasons(),
            PERMISSIONS: _permissions(),
        }
    )


def _decided(refusal: Refusal) -> str:
    return "" if refusal.decided_by is DecidedBy.RULES else f", by the {refusal.decided_by}"


def _reasons() -> str:
    rows = [
        f'- `{reason}` ("{reason.refusal.label}"{_decided(reason.refusal)}): {reason.refusal.explained}'
        for reason in Reason
    ]
    return "\n".join([_REASONS_HEAD, *rows, ""])


def _permissions() -> str:
    rows = [
        f"| `{permission.name.lower()}` | {permission.value.action} {permission.value.object} | "
        + " | ".join(_cell(permission, caller) for caller in _CALLERS)
        + " |"
        for permission in Permission
    ]
    return "\n".join([_PERMISSIONS_HEAD, *rows, ""])


def _cell(permission: Permission, caller: Role | Caller) -> str:
    scope = permission.value.callers.get(caller)
    if scope is None or isinstance(caller, Caller):
        return scope or ""
    is_strong = permission.needs_second_factor(caller)
    return ", ".join([scope, *["strong"] * is_strong, *["recent"] * permission.is_recent])


def _portal_reasons() -> str:
    labels = {reason.value: capitalised(reason.refusal.label) + "." for reason in Reason}
    return f"{{% set reasons = {json.dumps(labels, ensure_ascii=False, indent=2)} %}}\n"


def asyncapi_of(service: str) -> dict[str, Any]:
    database = Database(_NO_DATABASE, application_name="contracts")
    broker, _ = new_broker(_ANY_KAFKA, ROUTERS[service], database, ContextRepo())
    return asyncapi.document(broker, ROUTERS[service], _examples())


def _examples() -> dict[str, list[dict[str, Any]]]:
    return {
        event.TYPE: [
            json.loads(path.read_text()) for path in sorted((FOLDER / "examples" / event.TYPE).glob("*.json"))
        ]
        for event in EVENTS
    }


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def differing(folder: Path = FOLDER) -> list[Path]:
    return [path for path, text in documents(folder).items() if not path.exists() or path.read_text() != text]


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    if arguments not in (["write"], ["check"]):
        sys.stderr.write("usage: python -m services.contracts write|check\n")
        return 2
    broken = broken_promises(folder)
    for line in broken:
        sys.stderr.write(f"{line}\n")
    if broken:
        sys.stderr.write("A v1 contract may only gain fields with a default: publish a .v2 beside it.\n")
        return 1
    if arguments == ["check"]:
        different = differing(folder)
        for path in different:
            sys.stderr.write(f"{path} differs from the code: run 'make contracts'\n")
        return 1 if different else 0
    for path, text in documents(folder).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
