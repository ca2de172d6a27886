"""The pages of delegations: who may log in to them."""

from shared.auth import Role
from shared.web import labels
from shared.web.logins import StaffArea

STAFF_AREA = StaffArea(
    home="/gestion",
    cookie="gestion",
    roles=frozenset((Role.ORGANISER, Role.ADMIN)),
    title="Espace des délégations",
    lead="Pour créer, modifier et publier les sessions de votre délégation.",
    label=labels.form_field,
    pages=(
        ("/gestion", "Mes sessions"),
        ("/gestion/sessions/nouvelle", "Nouvelle session"),
        ("/gestion/ressources", "Ressources"),
        ("/gestion/demandes", "Demandes"),
    ),
    only_posted=("/publier", "/copier", "/replay"),
)
