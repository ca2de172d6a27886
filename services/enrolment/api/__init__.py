"""The HTTP API (JSON and CSV) for portals and organisers."""

from fastapi import FastAPI

from services.enrolment.api import (
    answers,
    attendance,
    contracts,
    enrolments,
    event_documents,
    events,
    failures,
    messages,
    requests,
    roster,
    selection,
)
from services.enrolment.api.examples import EXAMPLES
from services.enrolment.api.feed_watch import FeedWatch
from services.enrolment.employer_search import EmployerSearch
from services.enrolment.render.certificates import Signature
from services.enrolment.settings import Settings
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.http import add_routers, explain_problems, new_api
from shared.messaging.portals.registry import PortalsFile
from shared.rates import Rate
from shared.web.sheet_queue import SheetQueue


def build(
    database: Database,
    tokens: Tokens,
    guard: Guard,
    *,
    registry: PortalsFile,
    watch: FeedWatch,
    settings: Settings,
    signature: Signature,
) -> FastAPI:
    api = new_api(
        "enrolment",
        "Seats: enrolled, waiting and refused agents, with reasons.",
        guard,
        schemas=event_documents.SCHEMAS,
        examples=EXAMPLES,
    )
    explain_problems(api, settings.public_url("enrolment"))
    failures.answer_with_problems(api)
    api.state.database = database
    api.state.tokens = tokens
    api.state.sheets = SheetQueue()
    api.state.registry = registry
    api.state.watch = watch
    api.state.signs_intake = settings.intake_key is not None
    api.state.trial = settings.parcours_trial
    api.state.policy = settings.policy
    api.state.signature = signature
    api.state.employer_search = EmployerSearch(settings.employer_search_url)
    api.state.intake_rate = Rate.parse(settings.enrolment_intake_rate)
    parts = (events, requests, enrolments, answers, roster, messages, selection, attendance, contracts)
    add_routers(api, *(part.router for part in parts))
    return api
