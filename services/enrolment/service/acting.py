from dataclasses import dataclass
from datetime import datetime

from services.enrolment.rules.policy import Policy
from shared.auth import Principal
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class Acting:
    """A failed action raises an ``EnrolmentFailure``."""

    tx: Transaction
    who: Principal
    policy: Policy
    now: datetime
