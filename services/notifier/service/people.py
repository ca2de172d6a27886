"""Persons as support looks for them, and the story of one over all services."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.letters import NumberedSession
from services.notifier.store import enrolments, mails, people, sessions, timeline
from services.notifier.store.people import KnownPerson
from services.notifier.tables import EnrolmentRow, MailAuditRow, MailRow, TimelineRow
from shared import read_log
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.read_log import Reading, ReadKind
from shared.references import ids_of

__all__ = [
    "LONGEST_STORY",
    "MOST",
    "KnownPerson",
    "Story",
    "StoryLine",
    "agents_by_identifier_or_reference",
    "find",
    "story",
]

MOST = 50
"""Persons of a search, and so lines of the log of reads."""
LONGEST_STORY = 300
"""Of what happened, and of letters: the newest."""


async def find(tx: Transaction, typed: str, reading: Reading) -> list[KnownPerson]:
    """Return whom an address, an identifier, a reference of an enrolment or a name leads to.

    One more than :data:`MOST` at most. Who reads is recorded for each who is found, or that nobody was; what
    was typed is not kept.
    """
    by_name = False
    if "@" in typed:
        found = await people.with_address(tx, typed, most=MOST + 1)
    else:
        found = list(dict.fromkeys(await agents_by_identifier_or_reference(tx, typed, None)))[: MOST + 1]
        if not found:
            by_name = True
            found = await people.with_name(tx, typed, most=MOST + 1)
    await read_log.record(tx, reading, ReadKind.PERSON, agents=found[:MOST], of_a_list=by_name)
    return await people.known(tx, found)


async def agents_by_identifier_or_reference(
    tx: Transaction, agent_id: str, issuer: str | None
) -> list[AgentKey]:
    """Return the agents with this identifier; where there are none, those to whom it leads as a reference."""
    known = [*await enrolments.agents_called(tx, agent_id), *await mails.called(tx, agent_id)]
    if (called := _by_issuer(known, issuer)) or (ids := ids_of(agent_id)) is None:
        return called
    return _by_issuer(await enrolments.agents_between(tx, *ids), issuer)


def _by_issuer(agents: Sequence[AgentKey], issuer: str | None) -> list[AgentKey]:
    return [agent for agent in agents if issuer in (None, agent.issuer)]


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One line of a story: what happened, or a letter, or what was decided about that."""

    at: datetime
    happened: TimelineRow | None = None
    mail: MailRow | None = None
    decision: MailAuditRow | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A person, where they stand, and what happened, the newest first; ``is_whole``: since it is kept."""

    person: KnownPerson
    enrolments: Sequence[EnrolmentRow]
    lines: Sequence[StoryLine]
    sessions: Mapping[UUID, NumberedSession]
    is_whole: bool


async def story(tx: Transaction, agent: AgentKey, reading: Reading) -> Story:
    """Return the story of an agent. Who reads is recorded."""
    await read_log.record(tx, reading, ReadKind.PERSON, agents=[agent])
    (person,) = await people.known(tx, [agent])
    enrolments = await people.enrolments_of(tx, agent)
    happened = await timeline.of_agent(tx, agent, most=LONGEST_STORY)
    letters = await mails.find(tx, issuer=agent.issuer, agent_id=agent.agent_id, limit=LONGEST_STORY)
    decisions = await mails.audit_logs(tx, [mail.mail_id for mail in letters])
    lines = [
        *(StoryLine(row.at, happened=row) for row in happened),
        *(StoryLine(mail.settled_at or mail.created_at, mail=mail) for mail in letters),
        *(StoryLine(decision.at, decision=decision) for decision in decisions),
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
    )
