"""``python -m services.enrolment serve | migrate | explain … | enrolments … | dead-letters … | outbox …``."""

from services.enrolment.definition import DEFINITION
from shared.cli.running import run
from shared.cli.service import service_cli

app = service_cli(
    DEFINITION, dict.fromkeys(("explain", "enrolments", "webhooks"), "services.enrolment.commands")
)

if __name__ == "__main__":
    run(app)
