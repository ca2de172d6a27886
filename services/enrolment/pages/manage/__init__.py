from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from services.enrolment.pages.links import TEMPLATES
from services.enrolment.pages.manage import (
    bulk,
    by_hand,
    lists,
    messages,
    person,
    presence,
    ranking,
    roster,
    sheets,
    start,
)
from services.enrolment.pages.manage.person import (
    acting_by,
    approval_in,
    priority_in,
    reply_in,
    withdrawal_in,
)
from services.enrolment.pages.manage.staff_area import ENROLMENTS, SESSIONS, STAFF_AREA
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.permissions import Permission
from shared.web.links import ARRIVAL
from shared.web.logins import Logins, VisitHandler
from shared.web.rendering import Rendering, Sites

if TYPE_CHECKING:
    from shared.oidc.provider import Provider

__all__ = ["add_to"]


def add_to(
    api: FastAPI,
    database: Database,
    guard: Guard,
    *,
    tokens: Tokens,
    address: str,
    providers: "Sequence[Provider]",
    sites: Sites,
) -> None:
    """Without ``providers`` staff log in by token."""
    rendering = Rendering(TEMPLATES, service="enrolment", sites=sites, notice="message.html")
    logins = Logins(
        STAFF_AREA, database, tokens, guard, address=address, rendering=rendering, providers=providers
    )
    session, enrolment = f"{SESSIONS}/{{session_id:uuid}}", f"{ENROLMENTS}/{{enrolment_id:uuid}}"
    routes: tuple[tuple[str, VisitHandler, list[str]], ...] = (
        (STAFF_AREA.home, start.today, ["GET"]),
        (f"{STAFF_AREA.home}/a-faire", start.tasks, ["GET"]),
        (f"{STAFF_AREA.home}/semaine", start.week, ["GET"]),
        (f"{STAFF_AREA.home}/personnes", start.find, ["GET", "POST"]),
        (session, roster.participants, ["GET", "POST"]),
        (f"{session}/choix", bulk.show, ["POST"]),
        (f"{session}/attente", roster.waiting_list, ["GET"]),
        (f"{session}/places", roster.seats, ["GET"]),
        (f"{session}/groupes", roster.groups, ["GET"]),
        (f"{session}/historique", roster.history, ["GET"]),
        (f"{session}/ajout", by_hand.show, ["GET", "POST"]),
        (f"{session}/presence", presence.record, ["GET", "POST"]),
        (f"{session}/pointage", presence.check_in, ["GET", "POST"]),
        (f"{ARRIVAL}/{{enrolment_id:uuid}}", presence.arrival, ["GET", "POST"]),
        (f"{session}/emargement.pdf", presence.printed, ["GET"]),
        (f"{session}/attestations.zip", presence.all_certificates, ["GET"]),
        (f"{enrolment}/attestation.pdf", presence.certificate, ["GET"]),
        (f"{session}/messages", messages.show, ["GET", "POST"]),
        (f"{session}/messages/retrait", messages.take_back, ["POST"]),
        (f"{session}/fichiers/{{file}}", sheets.export, ["GET"]),
        (f"{session}/candidatures", ranking.show, ["GET", "POST"]),
        (f"{session}/candidatures/decision", ranking.decide, ["POST"]),
        (enrolment, person.show, ["GET"]),
        (f"{enrolment}/desistement", acting_by(withdrawal_in, "desistee"), ["POST"]),
        (f"{enrolment}/reponse", acting_by(reply_in, "repondue"), ["POST"]),
        (f"{enrolment}/accord", acting_by(approval_in, "accord"), ["POST"]),
        (f"{enrolment}/deplacement", person.move, ["POST"]),
        (f"{enrolment}/priorite", acting_by(priority_in, "priorite"), ["POST"]),
        (f"{enrolment}/reunion", person.join, ["POST"]),
        (f"{enrolment}/note", person.note, ["POST"]),
        (f"{enrolment}/note/retrait", person.remove_note, ["POST"]),
    )
    for route in (
        *logins.routes(),
        Route(
            f"{session}/fichiers",
            logins.guarded(sheets.import_sheet, with_file=True),
            methods=["GET", "POST"],
        ),
        Route(f"{session}/liste", logins.guarded(lists.show, with_file=True), methods=["GET", "POST"]),
        Route(
            f"{enrolment}/correction",
            logins.guarded(person.correct, Permission.CORRECT_PERSON),
            methods=["POST"],
        ),
        *(Route(path, logins.guarded(handler), methods=methods) for path, handler, methods in routes),
    ):
        api.router.routes.append(route)
