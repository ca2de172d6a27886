"""When a letter goes out, and when it does not go out any more. Pure.

What was queued may not be true when its turn comes: an attempt failed for hours, or two letters about one
enrolment stand side by side. So each is looked at once more, with what is known at that moment, before it
is written.
"""

from dataclasses import dataclass
from datetime import datetime

from services.notifier.letters.kinds import KINDS, Known, Mail, Standing, Template
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status

_LIVE = frozenset({Standing.ENROLLED, Standing.WAITLISTED, Standing.OFFERED, Standing.PENDING})


@dataclass(frozen=True, slots=True)
class Superseded:
    """The letter is not sent: what it says is not so any more. ``why`` is for operators."""

    why: str


def not_any_more(
    mail: Mail, session: SessionState | None, known: Known | None, now: datetime
) -> Superseded | None:
    """Why a letter whose turn has come must not be sent any more; None where it must.

    ``known`` is where its reader stands now, None where that is not known.
    """
    says = KINDS[mail.template].says
    if says is not None and known is not None and known.version > mail.version and known.standing != says:
        return Superseded(f"the agent stands elsewhere since: {known.standing}")
    if says in _LIVE and session is not None and session.status is Status.CANCELLED:
        return Superseded("the session is cancelled")
    if mail.template is Template.SEAT_OFFERED and now >= datetime.fromisoformat(
        str(mail.facts["hold_until"])
    ):
        return Superseded("the offer has ended")
    return None
