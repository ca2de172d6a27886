"""What becomes of a request that is not decided."""

from enum import StrEnum


class RejectionCode(StrEnum):
    """Why a record of a portal has no effect."""

    UNREADABLE = "unreadable"
    INVALID = "invalid"
    UNKNOWN_TYPE = "unknown_type"
    NOT_AUTHENTICATED = "not_authenticated"
    UNKNOWN_PORTAL = "unknown_portal"
    NOT_YOURS = "not_yours"
    WRONG_PARTITION = "wrong_partition"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"
