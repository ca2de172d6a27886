from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.notifier.letters import (
    EnrolmentState,
    KnownEnrolment,
    LetterContext,
    LetterType,
    Mail,
    NewsItem,
    NumberedSession,
    OtherCertificates,
    items_of,
    other_session,
    sessions_listed,
    still_announced,
    suggests_others,
    trainees_of,
)
from services.notifier.store import news, sessions, subscriptions, trainers
from services.notifier.store.bounces import digest_of
from shared.database import Transaction


async def contexts(tx: Transaction, mails: Sequence[Mail], now: datetime) -> list[LetterContext]:
    others = [other_session(mail) for mail in mails]
    listed = [session_id for mail in mails for session_id in sessions_listed(mail)]
    named = [*(mail.session_id for mail in mails), *others, *listed]
    session_of = await sessions.find(tx, {session_id for session_id in named if session_id is not None})
    readers = await tx.execute(
        _READERS,
        {
            "mails": [mail.mail_id for mail in mails],
            "enrolments": [mail.enrolment_id for mail in mails],
            "addresses": [digest_of(tx, mail.address) for mail in mails],
        },
    )
    refused = {mail.session_id for mail in mails if mail.session_id is not None and suggests_others(mail)}
    alternatives = await sessions.open_alternatives(tx, refused) if refused else {}
    teaching = {trainer_id for session in session_of.values() for trainer_id in session.trainer_ids}
    name_of = await trainers.names(tx, teaching)
    evaluation_asked, people = await _evaluation_asked(tx, mails), await _people(tx, mails)
    certificates = await _other_certificates(tx, mails)
    news_of = await _news(tx, [mail for mail in mails if mail.template is LetterType.NEWS], now)
    return [
        LetterContext(
            session_of.get(mail.session_id) if mail.session_id is not None else None,
            KnownEnrolment(reader.version, EnrolmentState(reader.standing))
            if reader.standing is not None
            else None,
            alternatives.get(mail.session_id, ()) if mail.session_id is not None else (),
            news_of.get(mail.mail_id, ()),
            reader.suppressed,
            session_of.get(other) if other is not None else None,
            reader.former_address,
            mail.mail_id in evaluation_asked,
            people,
            {
                session_id: session_of[session_id]
                for session_id in sessions_listed(mail)
                if session_id in session_of
            },
            [name_of[trainer_id] for trainer_id in _trainers_of(session_of, mail) if trainer_id in name_of],
            reader.withdrawn,
            certificates.get(mail.mail_id, OtherCertificates()),
        )
        for mail, reader, other in zip(mails, readers, others, strict=True)
    ]


def _trainers_of(session_of: Mapping[UUID, NumberedSession], mail: Mail) -> Sequence[UUID]:
    session = session_of.get(mail.session_id) if mail.session_id is not None else None
    return () if session is None else session.trainer_ids


async def _people(tx: Transaction, mails: Sequence[Mail]) -> dict[UUID, str]:
    named = [enrolment_id for mail in mails for enrolment_id in trainees_of(mail)]
    rows = await tx.execute(_NAMES, {"ids": named}) if named else ()
    return {row.enrolment_id: row.name for row in rows}


async def _evaluation_asked(tx: Transaction, mails: Sequence[Mail]) -> set[UUID]:
    """Return the evaluation letters whose question the certificate's letter asks too."""
    asking = [
        mail.mail_id for mail in mails if mail.template in (LetterType.CERTIFICATE, LetterType.EVALUATION)
    ]
    return set(await tx.scalars(_EVALUATION_ASKED, {"mails": asking})) if asking else set()


async def _other_certificates(tx: Transaction, mails: Sequence[Mail]) -> dict[UUID, OtherCertificates]:
    about = [
        mail.mail_id
        for mail in mails
        if mail.template in (LetterType.CERTIFICATE, LetterType.CERTIFICATE_VOID)
    ]
    rows = await tx.execute(_OTHER_CERTIFICATES, {"mails": about}) if about else ()
    return {row.mail_id: OtherCertificates(row.was_sent, row.is_leaving, row.is_newer) for row in rows}


async def _news(tx: Transaction, mails: Sequence[Mail], now: datetime) -> dict[UUID, list[NewsItem]]:
    if not mails:
        return {}
    items = await news.find(tx, {item_id for mail in mails for item_id in items_of(mail)})
    announced = await sessions.find(tx, {item.announced for item in items.values() if item.announced})
    subscriber_of = {mail.mail_id: UUID(str(mail.details["subscriber"])) for mail in mails}
    followed = await subscriptions.followed(tx, set(subscriber_of.values()))
    return {
        mail.mail_id: still_announced(
            [items[item_id] for item_id in items_of(mail) if item_id in items],
            announced,
            followed.get(subscriber_of[mail.mail_id], ()),
            now,
        )
        for mail in mails
    }


# The certificate's letter goes first, so it must not have begun after the evaluation letter.
_EVALUATION_ASKED = text(
    """
    SELECT mail.mail_id FROM mail JOIN mail AS other USING (issuer, recipient, enrolment_id)
     WHERE mail.mail_id = ANY(CAST(:mails AS uuid[]))
       AND CASE mail.template
           WHEN 'evaluation'
           THEN other.template = 'certificate' AND other.state NOT IN ('superseded', 'failed')
           ELSE other.template = 'evaluation' AND other.state IN ('data_started', 'sent', 'ambiguous') END"""
)
_OTHER_CERTIFICATES = text(
    """
    SELECT mail.mail_id, bool_or(other.version > mail.version) AS is_newer,
           bool_or(brought AND other.state IN ('data_started', 'sent', 'ambiguous')) AS was_sent,
           bool_or(brought AND other.state = 'claimed') AS is_leaving
      FROM mail JOIN mail AS other USING (issuer, recipient, enrolment_id),
           LATERAL (SELECT other.template = 'certificate' AND other.version < mail.version AS brought) AS kind
     WHERE mail.mail_id = ANY(CAST(:mails AS uuid[]))
       AND other.template IN ('certificate', 'certificate-void')
     GROUP BY mail.mail_id"""
)
_NAMES = text(
    "SELECT enrolment_id, given_name || ' ' || family_name AS name FROM enrolment "
    "WHERE enrolment_id = ANY(CAST(:ids AS uuid[]))"
)
_READERS = text(
    """
    SELECT enrolment.version, standing, suppression.address IS NOT NULL AS suppressed,
           EXISTS (SELECT FROM withdrawn_resource AS gone -- one that is sent again names the first event
                    WHERE gone.event_id IN (mail.event_id, CAST(mail.details ->> 'cause_id' AS uuid))
                  ) AS withdrawn,
           -- A claim whose address was corrected a moment ago ends at DATA: the next has the new address.
           coalesce(enrolment.address, subscriber.address, mail.address) = mail.address
           AND EXISTS (SELECT FROM former_address AS former
                    WHERE (former.issuer, former.agent_id) = (mail.issuer, mail.recipient)
                      AND former.address = lower(mail.address)
                      AND NOT EXISTS (SELECT FROM enrolment AS own
                                       WHERE (own.issuer, own.agent_id) = (former.issuer, former.agent_id)
                                         AND lower(own.address) = former.address)
                      AND NOT EXISTS (SELECT FROM subscriber AS own
                                       WHERE (own.issuer, own.agent_id) = (former.issuer, former.agent_id)
                                         AND lower(own.address) = former.address)) AS former_address
      FROM unnest(CAST(:mails AS uuid[]), CAST(:enrolments AS uuid[]), CAST(:addresses AS bytea[]))
           WITH ORDINALITY AS written (mail_id, enrolment_id, address, place)
           LEFT JOIN mail USING (mail_id)
           LEFT JOIN enrolment ON enrolment.enrolment_id = written.enrolment_id
           LEFT JOIN subscriber ON subscriber.subscriber_id = CAST(mail.details ->> 'subscriber' AS uuid)
           LEFT JOIN suppression ON suppression.address = written.address
     ORDER BY place"""
)
