"""The pages that a log-in opens: where they are, for whom, and what their log-in page says."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shared.auth import Role
from shared.web import labels
from shared.web.links import DELEGATION_FIGURES, ORGANISING

SameSite = Literal["lax", "strict"]
ORGANISER_PAGES = (
    (ORGANISING, "today"),
    ("/gestion", "sessions"),
    ("/gestion/sessions/nouvelle", "new_session"),
    ("/gestion/offres", "offers"),
    ("/gestion/ressources", "resources"),
    ("/gestion/demandes", "bespoke"),
    (DELEGATION_FIGURES, "figures"),
)
"""The pages of organisers, in each service: one head leads to all."""
_LONGEST = 2000
"""Of an address to return to, which is kept while somebody logs in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffArea:
    """Pages for those who are logged in, all under the path ``home``.

    ``cookie`` names the cookie; ``roles`` whose log-ins open these pages; ``title`` and ``lead`` are what the
    page of the log-in says. ``pages`` are those that the head of each page leads to: address, and name in
    `labels.STAFF_PAGES`. ``label`` gives what a form calls a field, and None for a field that nobody typed
    in; ``only_posted`` are the ends of addresses that cannot be visited. ``shows_what_follows`` are parts of
    addresses of forms that do what is final, and whose page says first what follows from it.
    """

    home: str
    cookie: str
    roles: frozenset[Role]
    title: str
    lead: str
    label: Callable[[str], str | None]
    pages: tuple[tuple[str, str], ...] = ()
    only_posted: tuple[str, ...] = ()
    shows_what_follows: tuple[str, ...] = ()
    same_site: SameSite = "lax"

    @property
    def log_in(self) -> str:
        """The address of the page where one logs in."""
        return f"{self.home}/connexion"

    @property
    def begin(self) -> str:
        """The address that leads to the issuer."""
        return f"{self.log_in}/compte"

    @property
    def come_back(self) -> str:
        """The address that the issuer leads back to: its ``redirect_uri``."""
        return f"{self.log_in}/retour"

    @property
    def own_logins(self) -> str:
        """The address of the list of one's log-ins."""
        return f"{self.home}/connexions"

    @property
    def stay(self) -> str:
        """The address that a log-in is prolonged by, which answers with nothing: the page stays as it is."""
        return f"{self.own_logins}/prolonger"

    @property
    def log_out(self) -> str:
        """The address of the form that logs out."""
        return f"{self.home}/deconnexion"

    def leads_to(self, address: str) -> str:
        """The address, if it is of a page of this area and never of another host; else the first page."""
        own = re.fullmatch(rf"{self.home}(/[a-z0-9-][a-z0-9.-]*)*(\?[\w%&=+.~-]*)?", address, re.ASCII)
        return address if own and len(address) <= _LONGEST else self.home

    def can_be_sent_late(self, address: str) -> bool:
        """Whether a form that came after its log-in had ended may be sent there without its page."""
        return self.leads_to(address) == address and not any(
            part in address for part in self.shows_what_follows
        )


def organiser_area(
    home: str,
    cookie: str,
    label: Callable[[str], str | None],
    *,
    only_posted: tuple[str, ...] = (),
    shows_what_follows: tuple[str, ...] = (),
) -> StaffArea:
    """Return the area of organisers on one service: one head leads to its pages in all."""
    return StaffArea(
        home=home,
        cookie=cookie,
        roles=frozenset((Role.ORGANISER, Role.ADMIN)),
        title=labels.AREAS["organisers"],
        lead=labels.LOG_IN_LEADS[cookie],
        label=label,
        pages=ORGANISER_PAGES,
        only_posted=only_posted,
        shows_what_follows=shows_what_follows,
    )
