from shared.messaging.outbox import Outbox

OUTBOX = Outbox("catalogue")
