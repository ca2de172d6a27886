"""What letters tell beside their own facts, as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import text

from services.notifier.letters import (
    Known,
    Mail,
    NewsItem,
    NewsKind,
    Session,
    Standing,
    Template,
    is_worth_telling,
    items_of,
    suggests_others,
)
from services.notifier.letters.bounces import digest_of
from services.notifier.store import subscriptions
from services.notifier.store.fan_out import news_items
from services.notifier.store.knowledge import known_sessions, open_alternatives
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


async def what_is_known(tx: Transaction, mails: Sequence[Mail]) -> list[About]:
    """For each of these letters, in their order."""
    sessions = await known_sessions(tx, {mail.session_id for mail in mails if mail.session_id is not None})
    readers = await tx.execute(
        _READERS,
        {
            "enrolments": [mail.enrolment_id for mail in mails],
            "addresses": [digest_of(mail.address) for mail in mails],
        },
    )
    refused = {mail.session_id for mail in mails if mail.session_id is not None and suggests_others(mail)}
    others = await open_alternatives(tx, refused) if refused else {}
    news = await _news(tx, [mail for mail in mails if mail.template is Template.NEWS])
    return [
        About(
            sessions.get(mail.session_id) if mail.session_id is not None else None,
            Known(reader.version, Standing(reader.standing)) if reader.standing is not None else None,
            others.get(mail.session_id, ()) if mail.session_id is not None else (),
            news.get(mail.mail_id, ()),
            reader.suppressed,
        )
        for mail, reader in zip(mails, readers, strict=True)
    ]


async def _news(tx: Transaction, mails: Sequence[Mail]) -> dict[UUID, list[NewsItem]]:
    """What each of these letters of news still has to tell its reader, in the order in which it came."""
    if not mails:
        return {}
    items = await news_items(tx, {item for mail in mails for item in items_of(mail)})
    events = {one.item_id for one in items.values() if one.kind is NewsKind.SESSION}
    sessions = await known_sessions(tx, events)
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


_READERS = text(
    """
    SELECT version, standing, suppression.address IS NOT NULL AS suppressed
      FROM unnest(CAST(:enrolments AS uuid[]), CAST(:addresses AS bytea[]))
           WITH ORDINALITY AS mail (enrolment_id, address, place)
           LEFT JOIN enrolment USING (enrolment_id)
           LEFT JOIN suppression ON suppression.address = mail.address
     ORDER BY place"""
)
