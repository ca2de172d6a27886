"""The sender of letters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.notifier import letters


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender's name and address, the contacts, and where the public finds sessions.

    ``contacts`` are other contacts, by organiser.
    """

    name: str
    address: str
    contact: str
    catalogue: str = ""
    contacts: Mapping[str, str] = field(default_factory=dict)

    def contact_of(self, session: letters.NumberedSession | None) -> str:
        """Return the contact for a session, or the general one."""
        return self.contact if session is None else self.contacts.get(session.organiser, self.contact)
