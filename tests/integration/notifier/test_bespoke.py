"""Who asks for training of their own is told once what was understood, and once what is answered."""

from uuid import uuid4

from shared import clock
from shared.events.catalogue import BespokeRequestAnswered, BespokeRequestReceived
from tests.integration.notifier.conftest import Notifier


async def test_the_officer_who_asked_for_training_is_answered_once(notifier: Notifier) -> None:
    answered = BespokeRequestAnswered.model_validate(
        {
            "request_id": uuid4(),
            "siret": "21350238800019",
            "answer": "proposed",
            "requested_by": {"name": "Anne Le Bris", "email": "anne.lebris@ville.example"},
            "advisor": {"name": "Yann Le Goff", "email": "yann.legoff@cnfpt.example"},
            "message": "Deux journées à Rennes.",
        }
    )
    (event_id,) = await notifier.hear(answered)
    await notifier.change("DELETE FROM inbox")
    await notifier.hear(answered, ids=[event_id])
    assert await notifier.deliver() == 1
    (taken,) = notifier.relay.taken
    assert taken.recipient == "anne.lebris@ville.example"
    assert taken.message["Reply-To"] == "yann.legoff@cnfpt.example"
    row = await notifier.row()
    assert "@" not in row.recipient


async def test_the_officer_who_asks_for_training_reads_once_what_was_understood(notifier: Notifier) -> None:
    request_id = uuid4()
    event = BespokeRequestReceived.model_validate(
        {
            "request_id": request_id,
            "siret": "21350238800019",
            "authority": "Ville de Rennes",
            "delegation": "bretagne",
            "theme": "enjeux-ia",
            "trainees": 15,
            "requested_by": {"name": "Anne Le Bris", "email": "anne.lebris@ville.example"},
            "received_at": clock.now(),
        }
    )
    (event_id,) = await notifier.hear(event)
    await notifier.change("DELETE FROM inbox")
    await notifier.hear(event, ids=[event_id])
    assert await notifier.deliver() == 1
    (taken,) = notifier.relay.taken
    assert taken.recipient == "anne.lebris@ville.example"
    part = taken.message.get_body(("plain",))
    assert part is not None
    text = str(part.get_content())
    assert "15 agentes et agents" in text
    assert "Enjeux de l’intelligence artificielle" in text
    row = await notifier.row()
    assert (row.recipient, row.issuer) == (f"demandeur-{request_id}", "")
