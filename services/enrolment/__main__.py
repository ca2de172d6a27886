"""``python -m services.enrolment serve | migrate | dead-letters … | outbox …``."""

from services.enrolment.app import DEFINITION
from shared.cli import run, service_cli

app = service_cli(DEFINITION)

if __name__ == "__main__":
    run(app)
