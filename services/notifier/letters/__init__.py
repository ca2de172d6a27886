"""Which letters a fact calls for, to whom and when: a table one can read.

Pure. No address is looked up here, no text is written (``templates``), nothing is sent.
"""

from services.notifier.letters.decisions import News, letter_about, letters_for, read, standing_after
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
from services.notifier.letters.timing import Superseded, not_any_more

__all__ = [
    "KINDS",
    "Calendar",
    "Facts",
    "Kind",
    "Known",
    "Letter",
    "Link",
    "Mail",
    "News",
    "Priority",
    "Standing",
    "Superseded",
    "Template",
    "letter_about",
    "letters_for",
    "not_any_more",
    "read",
    "standing_after",
    "suggests_others",
]
