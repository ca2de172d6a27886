from collections.abc import Sequence
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
from shared.permissions import Permission
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
    providers: "Sequence[Provider]" = (),
    signs_requests: bool = False,
) -> None:
    """``signs_requests``: other services believe this service's requests for an agent."""
    log = MailLogPages(guard, renderer)
    people = PeoplePages(guard, signs_requests)
    erasure = ErasurePage(guard, signs_requests)
    read, write = ["GET"], ["GET", "POST"]
    pages: tuple[tuple[StaffArea, str, VisitHandler, Permission, list[str]], ...] = (
        (SUPPORT_AREA, MAIL_LOG, log.search, Permission.READ_MAILS, write),
        (SUPPORT_AREA, PEOPLE, people.show, Permission.READ_MAILS, write),
        (SUPPORT_AREA, CORRECTION, people.correct, Permission.CORRECT_ADDRESS, write),
        (SUPPORT_AREA, WRITTEN_AGAIN, people.write_again, Permission.SEND_AGAIN, write),
        (SUPPORT_AREA, FIGURES, figures.show, Permission.READ_ALL_FIGURES, read),
        (SUPPORT_AREA, f"{FIGURES}.csv", figures.sheet, Permission.READ_ALL_FIGURES, read),
        (SUPPORT_AREA, ERASURE, erasure.show, Permission.ERASE, write),
        (SUPPORT_AREA, f"{MAIL_LOG}/{{mail_id:uuid}}", log.one_mail, Permission.READ_MAILS, write),
        (SUPPORT_AREA, f"{MAIL_LOG}/{{mail_id:uuid}}/lettre", log.letter, Permission.READ_MAILS, read),
        (FIGURES_AREA, DELEGATION_FIGURES, figures.show, Permission.READ_FIGURES, read),
        (FIGURES_AREA, f"{DELEGATION_FIGURES}.csv", figures.sheet, Permission.READ_FIGURES, read),
    )
    for area in (SUPPORT_AREA, FIGURES_AREA):
        logins = Logins(
            area, database, tokens, guard, address=public_url, rendering=rendering, providers=providers
        )
        api.router.routes += [
            *logins.routes(),
            *(
                Route(path, logins.guarded(handler, permission), methods=methods)
                for area_of_page, path, handler, permission, methods in pages
                if area_of_page is area
            ),
        ]
