from shared.permissions import Permission
from shared.web import labels
from shared.web.links import ORGANISING
from shared.web.logins.staff_area import organiser_area

_FINAL = ("/desistement", "/reponse", "/accord", "/deplacement", "/reunion", "/decision", "/retrait")
STAFF_AREA = organiser_area(
    ORGANISING,
    "inscriptions",
    Permission.MANAGE_ENROLMENTS,
    labels.enrolment_field,
    only_posted=("/choix", "/correction", "/priorite", "/note", *_FINAL),
    shows_what_follows=_FINAL,
)
SESSIONS = f"{ORGANISING}/sessions"
ENROLMENTS = f"{ORGANISING}/inscriptions"
