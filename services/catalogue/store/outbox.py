"""The outbox of this service: events are stored with their change."""

from shared.messaging.outbox import Outbox

OUTBOX = Outbox("catalogue")
