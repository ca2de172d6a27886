"""Who letters come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.notifier import letters


@dataclass(frozen=True, slots=True)
class Sender:
    """Who letters come from, whom to write to, and where the public finds sessions.

    ``contacts``: whom to write to about the sessions of an organiser, where that is somebody else.
    """

    name: str
    address: str
    contact: str
    catalogue: str = ""
    contacts: Mapping[str, str] = field(default_factory=dict)

    def contact_of(self, session: letters.NumberedSession | None) -> str:
        """Whom to write to about a session; None: about none."""
        return self.contact if session is None else self.contacts.get(session.organiser, self.contact)
