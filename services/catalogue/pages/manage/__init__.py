from starlette.routing import Route

from services.catalogue.pages.manage.actions import cancel, copy, delete, name_template, replay
from services.catalogue.pages.manage.bespoke import answer_request, hand_over, list_requests, show_board
from services.catalogue.pages.manage.editing import new_session, show_session
from services.catalogue.pages.manage.history import session_history
from services.catalogue.pages.manage.listing import own_sessions
from services.catalogue.pages.manage.offers import (
    all_offers,
    new_offer,
    offer_history,
    restore_offer,
    show_offer,
    withdraw_offer,
)
from services.catalogue.pages.manage.planning import change_capacity, postpone
from services.catalogue.pages.manage.publishing import publish, publish_chosen
from services.catalogue.pages.manage.resources import (
    new_resource,
    own_resources,
    show_resource,
    withdraw,
)
from services.catalogue.pages.manage.series import new_series
from services.catalogue.pages.manage.sheets import export, export_workbook, import_sheet
from shared.permissions import Permission
from shared.web.logins import Logins

__all__ = ["routes"]


def routes(logins: Logins) -> list[Route]:
    session = "/gestion/sessions/{session_id:uuid}"
    return [
        Route("/gestion", logins.guarded(own_sessions)),
        Route("/gestion/sessions/nouvelle", logins.guarded(new_session), methods=["GET", "POST"]),
        Route("/gestion/sessions/serie", logins.guarded(new_series), methods=["GET", "POST"]),
        Route("/gestion/sessions/publier", logins.guarded(publish_chosen), methods=["GET", "POST"]),
        Route(session, logins.guarded(show_session), methods=["GET", "POST"]),
        Route(f"{session}/historique", logins.guarded(session_history)),
        Route(f"{session}/publier", logins.guarded(publish), methods=["GET", "POST"]),
        Route(
            f"{session}/annuler",
            logins.guarded(cancel, Permission.CANCEL_SESSION),
            methods=["GET", "POST"],
        ),
        Route(f"{session}/places", logins.guarded(change_capacity), methods=["GET", "POST"]),
        Route(f"{session}/reporter", logins.guarded(postpone), methods=["GET", "POST"]),
        Route(f"{session}/supprimer", logins.guarded(delete), methods=["GET", "POST"]),
        Route(f"{session}/copier", logins.guarded(copy), methods=["POST"]),
        Route(f"{session}/modele", logins.guarded(name_template), methods=["POST"]),
        Route(f"{session}/replay", logins.guarded(replay), methods=["POST"]),
        Route("/gestion/offres", logins.guarded(all_offers)),
        Route(
            "/gestion/offres/nouvelle",
            logins.guarded(new_offer, Permission.CHANGE_OFFERS),
            methods=["GET", "POST"],
        ),
        Route("/gestion/offres/{offer_id}", logins.guarded(show_offer), methods=["GET", "POST"]),
        Route("/gestion/offres/{offer_id}/historique", logins.guarded(offer_history)),
        Route(
            "/gestion/offres/{offer_id}/retirer",
            logins.guarded(withdraw_offer, Permission.CHANGE_OFFERS),
            methods=["GET", "POST"],
        ),
        Route(
            "/gestion/offres/{offer_id}/remettre",
            logins.guarded(restore_offer, Permission.CHANGE_OFFERS),
            methods=["POST"],
        ),
        Route("/gestion/ressources", logins.guarded(own_resources)),
        Route("/gestion/ressources/nouvelle", logins.guarded(new_resource), methods=["GET", "POST"]),
        Route(
            "/gestion/ressources/{resource_id:uuid}", logins.guarded(show_resource), methods=["GET", "POST"]
        ),
        Route(
            "/gestion/ressources/{resource_id:uuid}/retirer",
            logins.guarded(withdraw),
            methods=["GET", "POST"],
        ),
        Route("/gestion/sessions.csv", logins.guarded(export)),
        Route("/gestion/sessions.xlsx", logins.guarded(export_workbook)),
        Route(
            "/gestion/sessions/importer",
            logins.guarded(import_sheet, with_file=True),
            methods=["GET", "POST"],
        ),
        Route("/gestion/demandes", logins.guarded(show_board)),
        Route("/gestion/demandes/liste", logins.guarded(list_requests)),
        Route("/gestion/demandes/{bespoke_id:uuid}", logins.guarded(answer_request), methods=["GET", "POST"]),
        Route(
            "/gestion/demandes/{bespoke_id:uuid}/confier", logins.guarded(hand_over), methods=["GET", "POST"]
        ),
    ]
