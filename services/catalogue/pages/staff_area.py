"""The pages of delegations: who may log in to them."""

from shared.web import labels
from shared.web.logins.staff_area import organiser_area

STAFF_AREA = organiser_area(
    "/gestion",
    "gestion",
    labels.form_field,
    only_posted=("/copier", "/modele", "/replay", "/remettre"),
    shows_what_follows=("/publier", "/annuler", "/supprimer", "/retirer", "/demandes/"),
)
