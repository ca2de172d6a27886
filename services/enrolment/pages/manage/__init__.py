"""The pages of organisers about enrolments: what waits for them today, and all that they do in a session."""

from fastapi import FastAPI
from starlette.routing import Route

from services.enrolment.pages.links import TEMPLATES
from services.enrolment.pages.manage import roster, start
from services.enrolment.pages.manage.bulk import BulkPages
from services.enrolment.pages.manage.by_hand import ByHandPage
from services.enrolment.pages.manage.messages import MessagePages
from services.enrolment.pages.manage.person import PersonPages
from services.enrolment.pages.manage.presence import PresencePages
from services.enrolment.pages.manage.ranking import RankingPages
from services.enrolment.pages.manage.sheets import SheetPages
from services.enrolment.pages.manage.staff_area import ENROLMENTS, SESSIONS, STAFF_AREA
from services.enrolment.render.certificates import Signature
from services.enrolment.rules.policy import Policy
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.oidc.provider import Provider
from shared.web.links import ARRIVAL
from shared.web.logins import Logins, VisitHandler
from shared.web.rendering import Rendering, Sites

__all__ = ["add_to"]


def add_to(
    api: FastAPI,
    database: Database,
    guard: Guard,
    *,
    tokens: Tokens,
    policy: Policy,
    signature: Signature,
    address: str,
    provider: Provider | None,
    sites: Sites,
) -> None:
    """Serve the pages beside the API.

    ``address`` is where the public, and so a form, finds this service; staff log in at ``provider``, if any.
    ``sites`` are where the pages of the others are.
    """
    rendering = Rendering(TEMPLATES, service="enrolment", sites=sites, notice="message.html")
    logins = Logins(
        STAFF_AREA, database, tokens, guard, address=address, rendering=rendering, provider=provider
    )
    session, enrolment = f"{SESSIONS}/{{session_id:uuid}}", f"{ENROLMENTS}/{{enrolment_id:uuid}}"
    person, ranking = PersonPages(policy), RankingPages(policy)
    presence, messages = PresencePages(policy, signature, guard), MessagePages(policy)
    sheets = SheetPages(policy, guard)
    routes: tuple[tuple[str, VisitHandler, list[str]], ...] = (
        (STAFF_AREA.home, start.today, ["GET"]),
        (f"{STAFF_AREA.home}/a-faire", start.tasks, ["GET"]),
        (f"{STAFF_AREA.home}/semaine", start.week, ["GET"]),
        (f"{STAFF_AREA.home}/personnes", start.find, ["GET", "POST"]),
        (session, roster.participants, ["GET", "POST"]),
        (f"{session}/choix", BulkPages(policy).show, ["POST"]),
        (f"{session}/attente", roster.waiting_list, ["GET"]),
        (f"{session}/places", roster.seats, ["GET"]),
        (f"{session}/groupes", roster.groups, ["GET"]),
        (f"{session}/historique", roster.history, ["GET"]),
        (f"{session}/ajout", ByHandPage(policy).show, ["GET", "POST"]),
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
        (f"{enrolment}/correction", person.correct, ["POST"]),
        (f"{enrolment}/desistement", person.withdraw, ["POST"]),
        (f"{enrolment}/reponse", person.reply_to_offer, ["POST"]),
        (f"{enrolment}/accord", person.decide_approval, ["POST"]),
        (f"{enrolment}/deplacement", person.move, ["POST"]),
        (f"{enrolment}/priorite", person.prioritise, ["POST"]),
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
        *(Route(path, logins.guarded(handler), methods=methods) for path, handler, methods in routes),
    ):
        api.router.routes.append(route)
