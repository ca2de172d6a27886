"""``python -m services.catalogue serve | migrate | load-offer | dead-letters … | outbox …``."""

from services.catalogue.definition import DEFINITION
from shared.cli.running import run
from shared.cli.service import service_cli

app = service_cli(DEFINITION, {"load-offer": "services.catalogue.commands"})

if __name__ == "__main__":
    run(app)
