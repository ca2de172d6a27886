from pathlib import Path

from services.catalogue.settings import Settings
from shared.cli.definition import Definition

DEFINITION = Definition(
    package="services.catalogue", settings=Settings, revisions=Path(__file__).parent / "migrations"
)
