"""A form that came after its log-in had ended: what is final is done by its page alone."""

import re
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from services.catalogue import app as catalogue
from services.catalogue.pages import manage
from services.catalogue.pages.site import TEMPLATES
from services.catalogue.pages.staff_area import STAFF_AREA as CATALOGUE
from services.catalogue.settings import Settings as CatalogueSettings
from services.enrolment import app as enrolment
from services.enrolment.pages.manage.staff_area import STAFF_AREA as ENROLMENT
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier import app as notifier
from services.notifier.pages.staff_area import FIGURES_AREA, SUPPORT_AREA
from services.notifier.settings import Settings as NotifierSettings
from shared.auth import Tokens
from shared.http import new_api
from shared.web import operations
from shared.web.forms import Form
from shared.web.logins import Logins, StaffArea, StaffVisit, late_forms
from shared.web.logins.late_forms import LateForm
from shared.web.rendering import Rendering
from tests.conftest import settings_of
from tests.support.guards import NOWHERE, a_guard

SERVICES = ("catalogue", "enrolment", "notifier")
AREAS = (CATALOGUE, ENROLMENT, SUPPORT_AREA, FIGURES_AREA, *map(operations.area_of, SERVICES))
SESSION, ENROLLED = f"{CATALOGUE.home}/sessions/x", f"{ENROLMENT.home}/inscriptions/x"
ROSTER = f"{ENROLMENT.home}/sessions/x"
ASK_AGAIN = {
    f"{CATALOGUE.home}/sessions/serie",
    f"{SESSION}/places",
    f"{SESSION}/reporter",
    f"{ROSTER}/choix",
    f"{ROSTER}/fichiers",
    f"{ROSTER}/liste",
    f"{ROSTER}/messages",
}
"""Their pages show what follows until a button says that it was read, which is left behind."""
NOT_FINAL = {
    SESSION,
    f"{CATALOGUE.home}/sessions/nouvelle",
    f"{CATALOGUE.home}/sessions/importer",
    f"{SESSION}/copier",
    f"{SESSION}/modele",
    f"{SESSION}/replay",
    f"{CATALOGUE.home}/offres/nouvelle",
    f"{CATALOGUE.home}/offres/x",
    f"{CATALOGUE.home}/offres/x/remettre",
    f"{CATALOGUE.home}/ressources/nouvelle",
    f"{CATALOGUE.home}/ressources/x",
    ROSTER,
    f"{ROSTER}/ajout",
    f"{ROSTER}/presence",
    f"{ROSTER}/pointage",
    f"{ROSTER}/candidatures",
    f"{ENROLMENT.home}/arrivee/x",
    f"{ENROLMENT.home}/personnes",
    f"{ENROLLED}/correction",
    f"{ENROLLED}/priorite",
    f"{ENROLLED}/note",
    SUPPORT_AREA.home,
    f"{SUPPORT_AREA.home}/x",
    f"{SUPPORT_AREA.home}/personnes",
    f"{SUPPORT_AREA.home}/personnes/correction",
    f"{SUPPORT_AREA.home}/personnes/ecrire-de-nouveau",
    *(f"{operations.area_of(service).home}/incidents" for service in SERVICES),
}
"""What can be changed back or answered anew, or has nothing that is typed: no form without it is brought."""


def given(service: str) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in settings_of(service, "postgresql://x@localhost/x", "x:1").items()
    }


def catalogue_logins() -> Logins:
    return Logins(CATALOGUE, NOWHERE, Tokens(), a_guard(), address="", rendering=Rendering(TEMPLATES))


def posted() -> Iterator[tuple[StaffArea, str, bool]]:
    """Addresses behind a log-in that take forms, its own aside, and whether they can be visited."""
    processes = (
        catalogue.compose(CatalogueSettings.model_validate(given("catalogue"))),
        enrolment.compose(EnrolmentSettings.model_validate(given("enrolment"))),
        notifier.compose(NotifierSettings.model_validate(given("notifier"))),
    )
    pages = manage.routes(catalogue_logins())
    routes = [*pages, *(route for process in processes for route in process.api.routes)]
    for route in routes:
        if not isinstance(route, Route) or "POST" not in (route.methods or ()):
            continue
        address = re.sub(r"\{[^}]+\}", "x", route.path)
        areas = [area for area in AREAS if f"{address}/".startswith(f"{area.home}/")]
        area = max(areas, key=lambda each: len(each.home), default=None)
        if area is not None and address not in (area.log_in, area.log_out, area.own_logins):
            yield area, address, "GET" in (route.methods or ())


def test_what_is_final_is_never_sent_late_without_its_page() -> None:
    sent_late = {address for area, address, _ in posted() if area.can_be_sent_late(address)}
    assert sent_late == ASK_AGAIN | NOT_FINAL
    typed = [("envoi", f"{SESSION}/annuler"), ("saisie-reason", "Trop peu d’inscrits.")]
    assert late_forms.brought(CATALOGUE, Form(typed)) == LateForm("", [("reason", "Trop peu d’inscrits.")])


def test_who_came_too_late_is_led_to_a_page_that_can_be_visited() -> None:
    closed = {address for _, address, can_be_visited in posted() if not can_be_visited}
    ends = (*CATALOGUE.only_posted, *ENROLMENT.only_posted)
    assert {address for address in closed if not address.endswith(ends)} == set()


async def test_nobody_reads_a_file_that_comes_without_a_log_in() -> None:
    async def imported(_visit: StaffVisit) -> Response:
        raise AssertionError

    async def receive() -> Message:
        raise AssertionError

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": f"{CATALOGUE.home}/sessions/importer"}
    app = new_api("test", "Tests.", a_guard())
    request = Request({**scope, "query_string": b"", "headers": headers, "app": app}, receive)
    answer = await catalogue_logins().guarded(imported, with_file=True)(request)
    assert (answer.status_code, b"connexion" in answer.body) == (403, True)
