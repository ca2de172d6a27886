"""The contracts as documents, JSON Schemas and AsyncAPI 3.0, in ``docs/asyncapi``.

``python -m services.contracts write`` writes them and refuses to when a v1 contract would break; ``check``
says whether they are as the code is.
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
from shared.events import EVENTS
from shared.events.documents import FOLDER, broken_promises, schema
from shared.messaging import asyncapi
from shared.messaging.broker import KafkaSettings
from shared.messaging.faststream import new_broker

ROUTERS = {router.service: router for router in (catalogue.router, enrolment.router, notifier.router)}

_NO_DATABASE = "postgresql://nobody@localhost/nowhere"
_ANY_KAFKA = KafkaSettings(kafka_bootstrap_servers="kafka:9092")


def documents() -> dict[Path, str]:
    """Every document, by its path under ``docs/asyncapi``."""
    files = {Path("schemas") / f"{event.TYPE}.json": _text(schema(event)) for event in EVENTS}
    files[Path("portal.json")] = _text(asyncapi.portal_document(_examples()))
    return files | {Path(f"{service}.json"): _text(asyncapi_of(service)) for service in ROUTERS}


def asyncapi_of(service: str) -> dict[str, Any]:
    """The AsyncAPI document of a service, with the stored examples of its events."""
    database = Database(_NO_DATABASE, application_name="contracts")
    broker, _ = new_broker(_ANY_KAFKA, ROUTERS[service], database, ContextRepo())
    return asyncapi.document(broker, ROUTERS[service], _examples())


def _examples() -> dict[str, list[dict[str, Any]]]:
    """Return the stored examples of each event, by its type."""
    return {
        event.TYPE: [
            json.loads(path.read_text()) for path in sorted((FOLDER / "examples" / event.TYPE).glob("*.json"))
        ]
        for event in EVENTS
    }


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def differing(folder: Path = FOLDER) -> list[Path]:
    """The stored documents that are not as the code is."""
    return [
        path
        for path, text in documents().items()
        if not (folder / path).exists() or (folder / path).read_text() != text
    ]


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Write or check; returns the exit code."""
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
            sys.stderr.write(f"docs/asyncapi/{path} is not as the code is: run 'make contracts'\n")
        return 1 if different else 0
    for path, text in documents().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
