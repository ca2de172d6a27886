"""HTTP in (JSON): what portals ask, and what became of it."""

from fastapi import FastAPI

from services.enrolment.api import intake, requests
from services.enrolment.settings import Settings
from shared.auth import Tokens
from shared.database import Database
from shared.http import new_api


def build(database: Database, tokens: Tokens, settings: Settings) -> FastAPI:
    """The API over one database."""
    api = new_api("enrolment", "Seats: who is enrolled, waiting, refused, and why.")
    api.state.database = database
    api.state.tokens = tokens
    api.state.intake_rate = intake.RateLimit(settings.enrolment_intake_rate)
    requests.add_to(api, database)
    api.include_router(intake.router)
    return api
