"""What letters tell beside their own facts, as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.notifier.letters import Known, Mail, NewsItem, Session, items_of, suggests_others
from services.notifier.store import returned
from services.notifier.store.fan_out import news_items
from services.notifier.store.knowledge import known_sessions, open_alternatives, standings
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class About:
    """A letter's session, where its reader stands, other sessions to propose, the news it tells.

    ``suppressed``: mails came back from the address, and it is written to no more.
    """

    session: Session | None
    known: Known | None
    others: Sequence[Session]
    news: Sequence[NewsItem]
    suppressed: bool


async def what_is_known(
    tx: Transaction, mails: Sequence[Mail], cache: dict[UUID, Session] | None = None
) -> list[About]:
    """For each of these letters, in their order; ``cache`` spares reading sessions again."""
    sessions = await known_sessions(
        tx, {mail.session_id for mail in mails if mail.session_id is not None}, cache
    )
    known = await standings(tx, {mail.enrolment_id for mail in mails if mail.enrolment_id is not None})
    refused = {mail.session_id for mail in mails if mail.session_id is not None and suggests_others(mail)}
    others = await open_alternatives(tx, refused) if refused else {}
    wanted = {item for mail in mails for item in items_of(mail)}
    news = await news_items(tx, wanted) if wanted else {}
    suppressed = await returned.suppressed(tx, {mail.address for mail in mails})
    return [
        About(
            sessions.get(mail.session_id) if mail.session_id is not None else None,
            known.get(mail.enrolment_id) if mail.enrolment_id is not None else None,
            others.get(mail.session_id, ()) if mail.session_id is not None else (),
            [news[item] for item in items_of(mail) if item in news],
            mail.address in suppressed,
        )
        for mail in mails
    ]
