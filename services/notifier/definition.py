from pathlib import Path

from services.notifier.settings import Settings
from shared.cli.definition import Definition

DEFINITION = Definition(
    package="services.notifier", settings=Settings, revisions=Path(__file__).parent / "migrations"
)
