from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifier.letters import NumberedSession
from services.notifier.letters.happenings import Happening, happening_of
from services.notifier.service.mails import SENT_AGAIN_AFTER
from services.notifier.store import bounces, mails, people, sessions, timeline
from services.notifier.store.people import KnownPerson
from services.notifier.tables import EnrolmentRow, MailAuditRow, MailRow, TimelineRow
from shared import read_log
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.corrections import RECENT_CORRECTION
from shared.events.vocabulary import AgentKey, Event
from shared.read_log import Reading, ReadKind, ReadLogRow

LONGEST_STORY = 300


async def process(tx: Transaction, received: Sequence[Received[Event]]) -> None:
    """Store codes and ids, no names and no addresses."""
    happened = [(record, happening_of(record.event)) for record in received]
    await timeline.add(tx, [(record, *known) for record, known in happened if known is not None])


@dataclass(frozen=True, slots=True)
class StoryLine:
    """``after_correction``: the person's address or names had been corrected in the month before."""

    at: datetime
    happened: TimelineRow | None = None
    mail: MailRow | None = None
    correction: ReadLogRow | None = None
    decision: MailAuditRow | None = None
    after_correction: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """The newest line comes first. ``is_whole`` is False if older lines were left out."""

    person: KnownPerson
    enrolments: Sequence[EnrolmentRow]
    lines: Sequence[StoryLine]
    sessions: Mapping[UUID, NumberedSession]
    is_whole: bool
    suppressed_since: datetime | None


async def story(tx: Transaction, agent: AgentKey, reading: Reading) -> Story:
    """A decision to send a mail again is stored with both mails, but shown once."""
    await read_log.record(tx, reading, ReadKind.PERSON, agents=[agent])
    (person,) = await people.known(tx, [agent])
    enrolments = await people.enrolments_of(tx, agent)
    happened = await timeline.of_agent(tx, agent, most=LONGEST_STORY)
    letters = await mails.find(tx, issuer=agent.issuer, agent_id=agent.agent_id, limit=LONGEST_STORY)
    ids = {mail.mail_id for mail in letters}
    said_by_first = {f"{SENT_AGAIN_AFTER} {mail_id}" for mail_id in ids}
    decisions = await mails.audit_logs(tx, ids)
    corrected_at = [row.at for row in happened if row.kind == Happening.CORRECTED]
    lines = [
        *(
            StoryLine(row.at, happened=row, after_correction=_is_after(row.at, corrected_at))
            for row in happened
        ),
        *(StoryLine(asked.at, correction=asked) for asked in await timeline.corrections_asked(tx, agent)),
        *(StoryLine(mail.settled_at or mail.created_at, mail=mail) for mail in letters),
        *(
            StoryLine(decision.at, decision=decision)
            for decision in decisions
            if decision.action not in said_by_first
        ),
    ]
    about = {
        *(row.session_id for row in enrolments),
        *(row.session_id for row in happened),
        *(row.session_id for row in letters),
    }
    return Story(
        person,
        enrolments,
        sorted(lines, key=lambda line: line.at, reverse=True),
        await sessions.find(tx, [session_id for session_id in about if session_id is not None]),
        is_whole=len(happened) < LONGEST_STORY and len(letters) < LONGEST_STORY,
        suppressed_since=await bounces.suppressed_since(tx, person.address),
    )


def _is_after(moment: datetime, corrected_at: Sequence[datetime]) -> bool:
    return any(timedelta(0) <= moment - corrected < RECENT_CORRECTION for corrected in corrected_at)
