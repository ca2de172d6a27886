from collections.abc import Mapping
from dataclasses import dataclass, field

from services.notifier import letters
from shared.web import labels


@dataclass(frozen=True, slots=True)
class Sender:
    name: str
    address: str
    contact: str
    catalogue: str = ""
    contacts: Mapping[str, str] = field(default_factory=dict)

    def contact_of(self, session: letters.NumberedSession | None) -> str:
        return self.contact if session is None else self.contacts.get(session.organiser, self.contact)

    def delegation_of(self, session: letters.NumberedSession | None) -> str | None:
        """Return the organiser's name if the contact is its own."""
        if session is None or session.organiser not in self.contacts:
            return None
        return labels.organiser(session.organiser)
