from fastapi import FastAPI

from services.catalogue.api import bespoke, failures, management, public, sheets
from services.catalogue.api.examples import EXAMPLES
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.http import add_routers, new_api
from shared.web.sheet_queue import SheetQueue


def build(database: Database, tokens: Tokens, guard: Guard) -> FastAPI:
    api = new_api(
        "catalogue",
        "The offers, their sessions and their resources; how organisers publish them.",
        guard,
        examples=EXAMPLES,
    )
    api.state.database = database
    api.state.tokens = tokens
    api.state.imports = SheetQueue()
    failures.answer_with_problems(api)
    # Sheets before the sessions: otherwise "export" would be read as an id.
    add_routers(api, sheets.router, public.router, management.router, bespoke.router)
    return api
