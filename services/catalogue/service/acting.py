from dataclasses import dataclass

from services.catalogue.rules.searching import Viewer
from services.catalogue.service.access import viewer_of
from services.catalogue.service.failures import Stale
from shared.auth import Principal
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class Acting:
    """``seen`` has the tags of the version that the organiser saw; None allows any version.

    The moment is not here: a command must read the clock after it has locked its subject. Otherwise the
    clock's job could announce a later moment first.
    """

    tx: Transaction
    who: Principal
    seen: frozenset[str] | None = None

    @property
    def name(self) -> str:
        return self.who.name

    @property
    def delegation(self) -> str | None:
        """Return None for an organiser of all delegations."""
        return self.who.delegation

    @property
    def viewer(self) -> Viewer:
        return viewer_of(self.who)

    def require_seen(self, tag: str, what: str) -> None:
        if self.seen is not None and tag not in self.seen:
            raise Stale(what, tag)
