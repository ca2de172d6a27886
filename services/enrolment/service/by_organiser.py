"""Who acts in a session, by which rules, and when."""

from dataclasses import dataclass
from datetime import datetime

from services.enrolment.rules.policy import Policy
from shared.auth import Principal


@dataclass(frozen=True, slots=True)
class ByOrganiser:
    """An organiser acts now, by the rules of ``policy``. What they do raises ``service/failures.py``."""

    organiser: Principal
    policy: Policy
    now: datetime
