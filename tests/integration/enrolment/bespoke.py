"""What the catalogue says of the bespoke requests of authorities."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from shared.events.catalogue import BespokeRequestAnswered, BespokeRequestReceived

PEOPLE = {"name": "Léa Martin", "email": "lea.martin@ville-exemple.fr"}


def requested(request_id: UUID, **changes: Any) -> BespokeRequestReceived:
    fields: dict[str, Any] = {
        "request_id": request_id,
        "request_source": "/portals/essai",
        "siret": "21350238800019",
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "theme": "enjeux-ia",
        "trainees": 15,
        "requested_by": PEOPLE,
        "received_at": datetime(2026, 3, 1, 9, tzinfo=UTC),
    }
    return BespokeRequestReceived.model_validate(fields | changes)


def answered(request_id: UUID, answer: str) -> BespokeRequestAnswered:
    fields = {
        "request_id": request_id,
        "request_source": "/portals/essai",
        "siret": "21350238800019",
        "answer": answer,
        "requested_by": PEOPLE,
        "advisor": PEOPLE,
        "session_id": uuid4() if answer == "agreed" else None,
    }
    return BespokeRequestAnswered.model_validate(fields)
