"""The pages of organisers about enrolments: who may log in to them."""

from shared.auth import Role
from shared.web import labels
from shared.web.links import ORGANISING
from shared.web.logins import StaffArea
from shared.web.logins.staff_area import ORGANISER_PAGES

STAFF_AREA = StaffArea(
    home=ORGANISING,
    cookie="inscriptions",
    roles=frozenset((Role.ORGANISER, Role.ADMIN)),
    title="Espace des délégations",
    lead=labels.LOG_IN_LEADS["inscriptions"],
    label=labels.enrolment_field,
    pages=ORGANISER_PAGES,
    only_posted=(
        "/correction",
        "/desistement",
        "/reponse",
        "/accord",
        "/deplacement",
        "/priorite",
        "/reunion",
        "/note",
        "/decision",
        "/retrait",
    ),
)
SESSIONS = f"{ORGANISING}/sessions"
ENROLMENTS = f"{ORGANISING}/inscriptions"
