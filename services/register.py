"""The registers of personal data of all services as one document, ``docs/personal-data.md``.

``python -m services.register write`` writes it; ``check`` says whether it is as the code is.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic_settings import BaseSettings

from services.catalogue.personal_data import REGISTER as CATALOGUE
from services.catalogue.settings import Settings as CatalogueSettings
from services.enrolment.personal_data import REGISTER as ENROLMENT
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier.personal_data import REGISTER as NOTIFIER
from services.notifier.settings import Settings as NotifierSettings
from shared.personal_data import PersonalData, Register, Retention

DOCUMENT = Path(__file__).parents[1] / "docs" / "personal-data.md"

REGISTERS: Mapping[str, tuple[str, Register, type[BaseSettings]]] = {
    "catalogue": ("Catalogue", CATALOGUE, CatalogueSettings),
    "enrolment": ("Inscriptions", ENROLMENT, EnrolmentSettings),
    "notifier": ("Courriels", NOTIFIER, NotifierSettings),
}

_HEAD = """# Registre des données personnelles

Écrit par `make contracts` à partir des registres des services (`services/*/personal_data.py`) : une colonne
qui contient des données personnelles et n’y figure pas fait échouer les tests. Base légale : la mission de
service public du CNFPT (article 6, 1, e du RGPD).
"""


def document() -> str:
    """Return the document, in French."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for title, register, settings in REGISTERS.values():
        yield f"## {title}\n"
        yield "| Table | Données | De qui | Pour quoi | Combien de temps |"
        yield "|---|---|---|---|---|"
        for held in register.personal_data:
            columns = " ; ".join(f"`{name}` : {what}" for name, what in held.columns.items())
            yield (
                f"| `{held.table.__tablename__}` | {columns} | {held.whose.value} | {held.purpose} "
                f"| {_duration(held, settings)} |"
            )
        yield ""


def _duration(held: PersonalData, settings: type[BaseSettings]) -> str:
    ends = [f"{_days(retention, settings)} après {retention.since}" for retention in held.ends]
    if held.until:
        ends.append(f"jusqu’à ce que {held.until}")
    return " ; ".join(ends)


def _days(retention: Retention, settings: type[BaseSettings]) -> str:
    if isinstance(retention.days, str):
        return f"{settings.model_fields[retention.days].default} jours (`{retention.days.upper()}`)"
    return f"{retention.days} jours" if retention.days else "aussitôt"


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit code."""
    if arguments not in (["write"], ["check"]):
        sys.stderr.write("usage: python -m services.register write|check\n")
        return 2
    if arguments == ["write"]:
        DOCUMENT.write_text(document())
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != document():
        sys.stderr.write("docs/personal-data.md is not as the code is: run 'make contracts'.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
