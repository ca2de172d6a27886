"""The pages of delegations: who may log in to them."""

from services.catalogue.pages import rows, wording
from shared.auth import Role
from shared.web.logins import Space

_NOT_TYPED = frozenset(("cle", "version", rows.BUTTON))


def _label(name: str) -> str | None:
    return None if name in _NOT_TYPED else wording.field(name)


SPACE = Space(
    home="/gestion",
    cookie="gestion",
    roles=frozenset((Role.ORGANISER, Role.ADMIN)),
    title="Espace des délégations",
    lead="Pour créer, modifier et publier les sessions de votre délégation.",
    label=_label,
    only_posted=("/publier", "/copier", "/replay"),
)
