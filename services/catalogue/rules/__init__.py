"""What a session is at a given moment, what may be done to it, and what the clock owes it.

Owns the lifecycle of DOMAIN's sessions: one decision (``status``), two facts derived from the dates and
the clock (``phase``, ``enrolment``). Pure and total: time is an argument, a refusal is a value. No query,
no clock, no broker may enter.

Every event has a version of its own, the clock's too, so that "older than what I know" is one comparison
for whoever reads.
"""

from services.catalogue.rules.availability import (
    Access,
    Availability,
    availability,
    last_turn,
    reserved_at,
)
from services.catalogue.rules.bespoke import (
    Answered,
    BespokeRequest,
    BespokeState,
    answer,
    for_the_authority,
    possible_answers,
)
from services.catalogue.rules.changes import (
    amend,
    announced,
    cancel,
    change,
    differences,
    publish,
    schedule,
    settled,
    unrecorded,
)
from services.catalogue.rules.derived import (
    announce,
    days_before,
    enrolment_at,
    instant,
    next_announcement_at,
    owed,
    phase_at,
    shifted,
    state_of,
)
from services.catalogue.rules.facts import (
    Announcement,
    Done,
    Occupancy,
    Plan,
    Problem,
    Refusal,
    Refused,
    Session,
    Terms,
)
from services.catalogue.rules.plans import inconsistencies, unpublishable

__all__ = [
    "Access",
    "Announcement",
    "Answered",
    "Availability",
    "BespokeRequest",
    "BespokeState",
    "Done",
    "Occupancy",
    "Plan",
    "Problem",
    "Refusal",
    "Refused",
    "Session",
    "Terms",
    "amend",
    "announce",
    "announced",
    "answer",
    "availability",
    "cancel",
    "change",
    "days_before",
    "differences",
    "enrolment_at",
    "for_the_authority",
    "inconsistencies",
    "instant",
    "last_turn",
    "next_announcement_at",
    "owed",
    "phase_at",
    "possible_answers",
    "publish",
    "reserved_at",
    "schedule",
    "settled",
    "shifted",
    "state_of",
    "unpublishable",
    "unrecorded",
]
