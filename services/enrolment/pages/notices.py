"""What the pages can say when there is nothing to decide; the sentences are in ``templates/notices.html``."""

from enum import StrEnum


class Message(StrEnum):
    """Every page without a question."""

    UNKNOWN = "unknown"
    SESSION_CANCELLED = "session_cancelled"
    SEAT_TAKEN = "seat_taken"
    SEAT_LEFT = "seat_left"
    OFFER_EXPIRED = "offer_expired"
    OFFER_TAKEN = "offer_taken"
    OFFER_LEFT = "offer_left"
    OFFER_REPLACED = "offer_replaced"
    OFFER_ENDED = "offer_ended"
    WITHDRAWN = "withdrawn"
    ALREADY_ENDED = "already_ended"
    SESSION_STARTED = "session_started"
    WITHDRAWAL_LINK_EXPIRED = "withdrawal_link_expired"
    NOT_CERTIFIED = "not_certified"
    CERTIFICATE_LINK_EXPIRED = "certificate_link_expired"
