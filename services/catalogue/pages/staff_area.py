from services.catalogue.pages import field_labels
from shared.permissions import Permission
from shared.web.logins.staff_area import organiser_area

STAFF_AREA = organiser_area(
    "/gestion",
    "gestion",
    Permission.MANAGE_OFFER,
    field_labels.form_field,
    only_posted=("/copier", "/modele", "/replay", "/remettre"),
    shows_what_follows=("/publier", "/annuler", "/supprimer", "/retirer", "/demandes/"),
)
