from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from services.notifier.pages import figures
from services.notifier.pages.erasing import ErasurePage
from services.notifier.pages.mail_log import MailLogPages
from services.notifier.pages.people import PeoplePages
from services.notifier.pages.staff_area import (
    CORRECTION,
    ERASURE,
    FIGURES,
    FIGURES_AREA,
    PEOPLE,
    SUPPORT_AREA,
    WRITTEN_AGAIN,
)
from services.notifier.render import Renderer
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.web.links import DELEGATION_FIGURES, MAIL_LOG
from shared.web.logins import Logins, StaffArea, VisitHandler
from shared.web.rendering import Rendering

if TYPE_CHECKING:
    from shared.oidc.provider import Provider


def add_to(
    api: FastAPI,
    database: Database,
    rendering: Rendering,
    *,
    tokens: Tokens,
    guard: Guard,
    renderer: Renderer,
    public_url: str,
    provider: "Provider | None" = None,
    signs_requests: bool = False,
) -> None:
    """``signs_requests``: other services believe this service's requests for an agent."""
    log = MailLogPages(guard, renderer)
    people = PeoplePages(guard, signs_requests)
    erasure = ErasurePage(guard, signs_requests)
    read, write = ["GET"], ["GET", "POST"]
    pages: tuple[tuple[StaffArea, str, VisitHandler, list[str]], ...] = (
        (SUPPORT_AREA, MAIL_LOG, log.search, write),
        (SUPPORT_AREA, PEOPLE, people.show, write),
        (SUPPORT_AREA, CORRECTION, people.correct, write),
        (SUPPORT_AREA, WRITTEN_AGAIN, people.write_again, write),
        (SUPPORT_AREA, FIGURES, figures.show, read),
        (SUPPORT_AREA, f"{FIGURES}.csv", figures.sheet, read),
        (SUPPORT_AREA, ERASURE, erasure.show, write),
        (SUPPORT_AREA, f"{MAIL_LOG}/{{mail_id:uuid}}", log.one_mail, write),
        (SUPPORT_AREA, f"{MAIL_LOG}/{{mail_id:uuid}}/lettre", log.letter, read),
        (FIGURES_AREA, DELEGATION_FIGURES, figures.show, read),
        (FIGURES_AREA, f"{DELEGATION_FIGURES}.csv", figures.sheet, read),
    )
    for area in (SUPPORT_AREA, FIGURES_AREA):
        logins = Logins(
            area, database, tokens, guard, address=public_url, rendering=rendering, provider=provider
        )
        api.router.routes += [
            *logins.routes(),
            *(
                Route(path, logins.guarded(handler), methods=methods)
                for area_of_page, path, handler, methods in pages
                if area_of_page is area
            ),
        ]
