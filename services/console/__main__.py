from services.console.commands import app
from shared.cli.running import run

if __name__ == "__main__":
    run(app)
