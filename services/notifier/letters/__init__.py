"""Which letters an event calls for, to whom and when. Pure.

No address is looked up here, no text is written (``templates``), nothing is sent.
"""

from services.notifier.letters.context import LetterContext
from services.notifier.letters.decisions import (
    bespoke_letter,
    change_of,
    read_decisions,
    replay_letter,
    scheduled_letters,
)
from services.notifier.letters.fan_outs import TASK_OF, TEMPLATE_OF, FanOut, FanOutTask
from services.notifier.letters.kinds import (
    KINDS,
    CalendarAction,
    Details,
    EnrolmentState,
    Kind,
    Letter,
    Link,
    Mail,
    Priority,
    Standing,
    Template,
    items_of,
    rows_of,
    suggests_others,
)
from services.notifier.letters.news import (
    Edition,
    Interest,
    InterestKind,
    NewsItem,
    NewsKind,
    is_fresh,
    is_still_news,
    news_of,
    news_of_session,
    next_edition,
)
from services.notifier.letters.sessions import Occasion, Session, numbered
from services.notifier.letters.timing import (
    CONFIRM_FOR,
    SCHEDULED,
    Postponed,
    ScheduledLetter,
    Superseded,
    revalidate,
    schedule,
)

__all__ = [
    "CONFIRM_FOR",
    "KINDS",
    "SCHEDULED",
    "TASK_OF",
    "TEMPLATE_OF",
    "CalendarAction",
    "Details",
    "Edition",
    "EnrolmentState",
    "FanOut",
    "FanOutTask",
    "Interest",
    "InterestKind",
    "Kind",
    "Letter",
    "LetterContext",
    "Link",
    "Mail",
    "NewsItem",
    "NewsKind",
    "Occasion",
    "Postponed",
    "Priority",
    "ScheduledLetter",
    "Session",
    "Standing",
    "Superseded",
    "Template",
    "bespoke_letter",
    "change_of",
    "is_fresh",
    "is_still_news",
    "items_of",
    "news_of",
    "news_of_session",
    "next_edition",
    "numbered",
    "read_decisions",
    "replay_letter",
    "revalidate",
    "rows_of",
    "schedule",
    "scheduled_letters",
    "suggests_others",
]
