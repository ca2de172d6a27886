"""What a delegation does with its sessions, by forms: from the draft to its deletion, or to the replay."""

from starlette.routing import Route

from services.catalogue.pages.manage.acts import cancel, copy, delete, publish, replay
from services.catalogue.pages.manage.editing import new_session, one_session
from services.catalogue.pages.manage.listing import own_sessions
from services.catalogue.pages.manage.resources import one_resource, own_resources
from shared.web.logins import Guard

__all__ = ["routes"]


def routes(guarded: Guard) -> list[Route]:
    """The addresses of these pages."""
    session = "/gestion/sessions/{session_id:uuid}"
    return [
        Route("/gestion", guarded(own_sessions)),
        Route("/gestion/sessions/nouvelle", guarded(new_session), methods=["GET", "POST"]),
        Route(session, guarded(one_session), methods=["GET", "POST"]),
        Route(f"{session}/publier", guarded(publish), methods=["POST"]),
        Route(f"{session}/annuler", guarded(cancel), methods=["GET", "POST"]),
        Route(f"{session}/supprimer", guarded(delete), methods=["GET", "POST"]),
        Route(f"{session}/copier", guarded(copy), methods=["POST"]),
        Route(f"{session}/replay", guarded(replay), methods=["POST"]),
        Route("/gestion/ressources", guarded(own_resources)),
        Route("/gestion/ressources/{resource_id:uuid}", guarded(one_resource), methods=["GET", "POST"]),
    ]
