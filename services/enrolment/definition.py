from pathlib import Path

from services.enrolment.settings import Settings
from shared.cli.definition import Definition

DEFINITION = Definition(
    package="services.enrolment", settings=Settings, revisions=Path(__file__).parent / "migrations"
)
