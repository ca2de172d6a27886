"""The outbox of this service: events are stored with the change that they say."""

from shared.messaging.outbox import Outbox

OUTBOX = Outbox("catalogue")
