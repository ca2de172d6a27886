"""Every query of the notifier: what it knows of sessions and people, and the queue of mails.

Leases and due times are judged by the database's clock, which all replicas share. No function here holds a
transaction across the network.
"""

from services.notifier.store.fan_out import (
    FanOut,
    Task,
    announce,
    announce_to,
    begin,
    lock_sessions,
    next_slice,
)
from services.notifier.store.fan_out import purge as purge_fan_outs
from services.notifier.store.knowledge import (
    enrolments,
    known_sessions,
    open_alternatives,
    remember_enrolments,
    remember_sessions,
    standings,
)
from services.notifier.store.lookup import MailRecord, count_open, counts, mails, resolve
from services.notifier.store.queueing import drop_letters_to_come, queue
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
    "Claim",
    "Claimed",
    "FanOut",
    "MailRecord",
    "Settlement",
    "Task",
    "announce",
    "announce_to",
    "begin",
    "claim",
    "count_open",
    "counts",
    "drop_letters_to_come",
    "enrolments",
    "expire_leases",
    "known_sessions",
    "lock_sessions",
    "mails",
    "next_slice",
    "open_alternatives",
    "purge_fan_outs",
    "queue",
    "release",
    "remember_enrolments",
    "remember_sessions",
    "resolve",
    "settle",
    "standings",
    "start_data",
]
