from shared.permissions import Permission
from shared.web import labels
from shared.web.links import DELEGATION_FIGURES, MAIL_LOG
from shared.web.logins import StaffArea
from shared.web.logins.staff_area import organiser_area

PEOPLE = f"{MAIL_LOG}/personnes"
CORRECTION = f"{PEOPLE}/correction"
WRITTEN_AGAIN = f"{PEOPLE}/ecrire-de-nouveau"
FIGURES = f"{MAIL_LOG}/chiffres"
ERASURE = f"{MAIL_LOG}/effacement"

SUPPORT_AREA = StaffArea(
    home=MAIL_LOG,
    cookie="courriels",
    permission=Permission.READ_MAILS,
    title=labels.AREAS["support"],
    lead=labels.LOG_IN_LEADS["courriels"],
    pages=((PEOPLE, "people"), (MAIL_LOG, "mails"), (FIGURES, "figures"), (ERASURE, "erasure")),
    label=labels.SUPPORT_FIELDS.get,
    shows_what_follows=("/effacement",),
    same_site="strict",
)
FIGURES_AREA = organiser_area(DELEGATION_FIGURES, "chiffres", Permission.READ_FIGURES, lambda _: None)
