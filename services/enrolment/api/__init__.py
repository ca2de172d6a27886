"""HTTP in (JSON and CSV): the requests of portals, what became of them, and what organisers see and do."""

from fastapi import FastAPI

from services.enrolment.api import attendance, intake, requests, roster, selection
from services.enrolment.settings import Settings
from shared.auth import Tokens
from shared.database import Database
from shared.http import new_api


def build(database: Database, tokens: Tokens, settings: Settings) -> FastAPI:
    """Return the API of the service, which uses this database."""
    api = new_api("enrolment", "Seats: who is enrolled, waiting, refused, and why.")
    api.state.database = database
    api.state.tokens = tokens
    api.state.policy = settings.policy
    api.state.intake_rate = intake.RateLimit(settings.enrolment_intake_rate)
    for part in (intake, requests, roster, selection, attendance):
        api.include_router(part.router)
    return api
