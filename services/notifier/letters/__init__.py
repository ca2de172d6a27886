"""Which letters a fact calls for, to whom and when: a table one can read.

Pure. No address is looked up here, no text is written (``templates``), nothing is sent.
"""

from services.notifier.letters.decisions import (
    Change,
    News,
    change_of,
    letter_about,
    letters_for,
    letters_to_come,
    read,
    standing_after,
)
from services.notifier.letters.kinds import (
    KINDS,
    Calendar,
    Facts,
    Kind,
    Known,
    Letter,
    Link,
    Mail,
    Priority,
    Standing,
    Template,
    suggests_others,
)
from services.notifier.letters.timing import SCHEDULED, Planned, Postponed, Superseded, look_again, plan

__all__ = [
    "KINDS",
    "SCHEDULED",
    "Calendar",
    "Change",
    "Facts",
    "Kind",
    "Known",
    "Letter",
    "Link",
    "Mail",
    "News",
    "Planned",
    "Postponed",
    "Priority",
    "Standing",
    "Superseded",
    "Template",
    "change_of",
    "letter_about",
    "letters_for",
    "letters_to_come",
    "look_again",
    "plan",
    "read",
    "standing_after",
    "suggests_others",
]
