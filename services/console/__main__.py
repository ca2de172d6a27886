"""``python -m services status | lag | …``: the console's commands, as ``parcours`` reaches them."""

from services.console.commands import app
from shared.cli import run

if __name__ == "__main__":
    run(app)
