"""The pages of organisers about enrolments: who may log in to them."""

from shared.web import labels
from shared.web.links import ORGANISING
from shared.web.logins.staff_area import organiser_area

STAFF_AREA = organiser_area(
    ORGANISING,
    "inscriptions",
    labels.enrolment_field,
    only_posted=(
        "/choix",
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
    shows_what_follows=(
        "/desistement",
        "/reponse",
        "/accord",
        "/deplacement",
        "/reunion",
        "/decision",
        "/retrait",
    ),
)
SESSIONS = f"{ORGANISING}/sessions"
ENROLMENTS = f"{ORGANISING}/inscriptions"
