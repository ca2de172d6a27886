"""``python -m services.notifier serve | migrate | mails … | dead-letters … | outbox …``."""

from services.notifier.definition import DEFINITION
from shared.cli.running import run
from shared.cli.service import service_cli

app = service_cli(DEFINITION, dict.fromkeys(("mails", "bounces", "digests"), "services.notifier.commands"))

if __name__ == "__main__":
    run(app)
