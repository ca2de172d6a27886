"""What letters tell beside their own facts, as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.notifier.letters import (
    Known,
    Mail,
    NewsItem,
    NewsKind,
    Session,
    Template,
    is_worth_telling,
    items_of,
    suggests_others,
)
from services.notifier.store import subscriptions, suppression
from services.notifier.store.fan_out import news_items
from services.notifier.store.knowledge import known_sessions, open_alternatives, standings
from shared import clock
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
    news = await _news(tx, [mail for mail in mails if mail.template is Template.NEWS], cache)
    suppressed = await suppression.suppressed(tx, {mail.address for mail in mails})
    return [
        About(
            sessions.get(mail.session_id) if mail.session_id is not None else None,
            known.get(mail.enrolment_id) if mail.enrolment_id is not None else None,
            others.get(mail.session_id, ()) if mail.session_id is not None else (),
            news.get(mail.mail_id, ()),
            mail.address in suppressed,
        )
        for mail in mails
    ]


async def _news(
    tx: Transaction, mails: Sequence[Mail], cache: dict[UUID, Session] | None
) -> dict[UUID, list[NewsItem]]:
    """What each of these letters of news still has to tell its reader, in the order in which it came."""
    if not mails:
        return {}
    items = await news_items(tx, {item for mail in mails for item in items_of(mail)})
    events = {one.item_id for one in items.values() if one.kind is NewsKind.SESSION}
    sessions = await known_sessions(tx, events, cache)
    readers = {mail.mail_id: UUID(str(mail.facts["subscriber"])) for mail in mails}
    followed = await subscriptions.followed(tx, set(readers.values()))
    now = clock.now()
    return {
        mail.mail_id: [
            replace(items[one], event=sessions.get(one))
            for one in items_of(mail)
            if one in items
            and is_worth_telling(items[one], followed.get(readers[mail.mail_id], ()), sessions.get(one), now)
        ]
        for mail in mails
    }
