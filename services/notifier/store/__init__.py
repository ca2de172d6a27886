"""Every query of the notifier: what it knows of sessions and people, and the queue of mails.

Leases and due times are judged by the database's clock, which all replicas share. No function here holds a
transaction across the network.
"""

from services.notifier.store import returned, subscriptions, suppression
from services.notifier.store.about import About, what_is_known
from services.notifier.store.fan_out import (
    TASKS,
    FanOut,
    Task,
    begin,
    lock_sessions,
    news_items,
    next_slice,
    publish_news,
    remember_news,
)
from services.notifier.store.fan_out import purge as purge_fan_outs
from services.notifier.store.knowledge import (
    enrolments,
    known_sessions,
    open_alternatives,
    remember_enrolments,
    remember_sessions,
)
from services.notifier.store.lookup import (
    ENDED,
    AuditLine,
    MailRecord,
    audit_of,
    count_open,
    counts,
    letter,
    mails,
    resend,
    resend_failed,
    resolve,
    waits_for_its_session,
)
from services.notifier.store.projections import compare
from services.notifier.store.queueing import Addressee, drop_letters_to_come, queue, queue_letter
from services.notifier.store.replays import announce, announce_to, remember_replays
from services.notifier.store.sending import (
    Claim,
    Claimed,
    Settlement,
    claim,
    expire_leases,
    release,
    settle,
    start_data,
)

__all__ = [
    "ENDED",
    "TASKS",
    "About",
    "Addressee",
    "AuditLine",
    "Claim",
    "Claimed",
    "FanOut",
    "MailRecord",
    "Settlement",
    "Task",
    "announce",
    "announce_to",
    "audit_of",
    "begin",
    "claim",
    "compare",
    "count_open",
    "counts",
    "drop_letters_to_come",
    "enrolments",
    "expire_leases",
    "known_sessions",
    "letter",
    "lock_sessions",
    "mails",
    "news_items",
    "next_slice",
    "open_alternatives",
    "publish_news",
    "purge_fan_outs",
    "queue",
    "queue_letter",
    "release",
    "remember_enrolments",
    "remember_news",
    "remember_replays",
    "remember_sessions",
    "resend",
    "resend_failed",
    "resolve",
    "returned",
    "settle",
    "start_data",
    "subscriptions",
    "suppression",
    "waits_for_its_session",
    "what_is_known",
]
