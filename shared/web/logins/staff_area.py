import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.permissions import Permission
from shared.web import labels
from shared.web.links import DELEGATION_FIGURES, ORGANISING
from shared.web.logins.cookies import SameSite

ORGANISER_PAGES = (
    (ORGANISING, "today"),
    ("/gestion", "sessions"),
    ("/gestion/sessions/nouvelle", "new_session"),
    ("/gestion/offres", "offers"),
    ("/gestion/ressources", "resources"),
    ("/gestion/demandes", "bespoke"),
    (DELEGATION_FIGURES, "figures"),
)
_LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffArea:
    """Pages behind a log-in, all under the path ``home``.

    ``permission`` opens the pages that name no other. ``pages`` are the links of the head: address, and name
    in `labels.STAFF_PAGES`. ``label`` returns None for a field that nobody types. ``only_posted`` are ends of
    addresses that cannot be visited. ``shows_what_follows`` are parts of addresses of final acts, whose page
    shows the consequences first.
    """

    home: str
    cookie: str
    permission: Permission
    title: str
    lead: str
    label: Callable[[str], str | None]
    pages: tuple[tuple[str, str], ...] = ()
    only_posted: tuple[str, ...] = ()
    shows_what_follows: tuple[str, ...] = ()
    same_site: SameSite = "lax"

    @property
    def log_in(self) -> str:
        return f"{self.home}/connexion"

    @property
    def begin(self) -> str:
        return f"{self.log_in}/compte"

    @property
    def come_back(self) -> str:
        """The ``redirect_uri`` for the issuer."""
        return f"{self.log_in}/retour"

    @property
    def end_by_issuer(self) -> str:
        """The ``backchannel_logout_uri`` for the issuer."""
        return f"{self.log_in}/fin"

    @property
    def passage(self) -> str:
        """Hands a log-in to another area, and ends those of other areas."""
        return f"{self.log_in}/passage"

    @property
    def own_logins(self) -> str:
        return f"{self.home}/connexions"

    @property
    def stay(self) -> str:
        return f"{self.own_logins}/prolonger"

    @property
    def log_out(self) -> str:
        return f"{self.home}/deconnexion"

    def leads_to(self, address: str) -> str:
        """An address outside this area leads to the first page, never to another host."""
        own = re.fullmatch(rf"{self.home}(/[a-z0-9-][a-z0-9.-]*)*(\?[\w%&=+.~-]*)?", address, re.ASCII)
        return address if own and len(address) <= _LONGEST else self.home

    def can_be_sent_late(self, address: str) -> bool:
        return self.leads_to(address) == address and not any(
            part in address for part in self.shows_what_follows
        )


def organiser_area(
    home: str,
    cookie: str,
    permission: Permission,
    label: Callable[[str], str | None],
    *,
    only_posted: tuple[str, ...] = (),
    shows_what_follows: tuple[str, ...] = (),
) -> StaffArea:
    return StaffArea(
        home=home,
        cookie=cookie,
        permission=permission,
        title=labels.AREAS["organisers"],
        lead=labels.LOG_IN_LEADS[cookie],
        label=label,
        pages=ORGANISER_PAGES,
        only_posted=only_posted,
        shows_what_follows=shows_what_follows,
    )
