"""HTTP in (JSON): what became of a request."""

from fastapi import FastAPI

from services.enrolment.api import requests
from shared.database import Database
from shared.http import new_api


def build(database: Database) -> FastAPI:
    """The API over one database."""
    api = new_api("enrolment", "Seats: who is enrolled, waiting, refused, and why.")
    requests.add_to(api, database)
    return api
