"""The pages of delegations: who may log in to them."""

from shared.auth import Role
from shared.web import labels
from shared.web.logins import StaffArea
from shared.web.logins.staff_area import ORGANISER_PAGES

STAFF_AREA = StaffArea(
    home="/gestion",
    cookie="gestion",
    roles=frozenset((Role.ORGANISER, Role.ADMIN)),
    title="Espace des délégations",
    lead=labels.LOG_IN_LEADS["gestion"],
    label=labels.form_field,
    pages=ORGANISER_PAGES,
    only_posted=("/publier", "/copier", "/modele", "/replay"),
)
