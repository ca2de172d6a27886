"""SMTP: a pool of connections to the relay, and what its answers mean.

``pool`` hands mails out and leaves a relay alone that cannot be reached, ``connection`` leads the dialogue,
``answers`` say what came of it. Nothing is known here of the queue.
"""

from services.notifier.mailer.answers import Outcome, Patience, RelayUnreachable, Verdict
from services.notifier.mailer.pool import Mailer

__all__ = ["Mailer", "Outcome", "Patience", "RelayUnreachable", "Verdict"]
