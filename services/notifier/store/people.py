from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import col, select

from services.notifier.tables import FOLDED, EnrolmentRow
from shared.database import Transaction
from shared.events.vocabulary import AgentKey


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """Names and address are empty if only ids are kept."""

    agent: AgentKey
    given_name: str = ""
    family_name: str = ""
    address: str = ""
    enrolments: int = 0

    @property
    def is_correctable(self) -> bool:
        """All services would know the agent."""
        return bool(self.agent.issuer and self.address)


async def with_address(tx: Transaction, address: str, *, most: int) -> list[AgentKey]:
    """Include agents who had this address lately."""
    return [AgentKey(*row) for row in await tx.execute(_BY_ADDRESS, {"address": address, "most": most})]


async def with_name(tx: Transaction, typed: str, *, most: int) -> list[AgentKey]:
    """Each typed word begins a word of the agent's names.

    The family name begins with one of the words, or all. Accents, capitals and hyphens do not matter.
    """
    return [AgentKey(*row) for row in await tx.execute(_BY_NAME, {"typed": typed, "most": most})]


async def folded(tx: Transaction, typed: str) -> str:
    return str(await tx.scalar(_FOLDED, {"typed": typed}))


async def family_names(tx: Transaction, beginnings: Collection[str], *, most: int) -> list[str]:
    return list(await tx.scalars(_FAMILY_NAMES, {"beginnings": sorted(beginnings), "most": most}))


async def of_family_names(
    tx: Transaction, names: Collection[str], *, most: int
) -> list[tuple[AgentKey, str, str]]:
    rows = await tx.execute(_OF_FAMILY_NAMES, {"names": sorted(names), "most": most})
    return [(AgentKey(row.issuer, row.agent_id), row.given_name, row.family_name) for row in rows]


async def known(tx: Transaction, agents: Sequence[AgentKey]) -> list[KnownPerson]:
    parameters = {
        "issuers": [agent.issuer for agent in agents],
        "agents": [agent.agent_id for agent in agents],
    }
    rows = await tx.execute(_KNOWN, parameters) if agents else ()
    found = {
        AgentKey(row.issuer, row.agent_id): (row.given_name, row.family_name, row.address, row.enrolments)
        for row in rows
    }
    return [KnownPerson(agent, *found.get(agent, ())) for agent in agents]


async def addresses(tx: Transaction, agent: AgentKey) -> set[str]:
    return set(await tx.scalars(_ADDRESSES, agent._asdict()))


async def enrolments_of(tx: Transaction, agent: AgentKey) -> list[EnrolmentRow]:
    found = select(EnrolmentRow).where(
        col(EnrolmentRow.issuer) == agent.issuer, col(EnrolmentRow.agent_id) == agent.agent_id
    )
    newest_first = found.order_by(col(EnrolmentRow.since).desc(), col(EnrolmentRow.enrolment_id))
    return list(await tx.scalars(newest_first))


_ADDRESSES = text(
    "SELECT address FROM enrolment WHERE issuer = :issuer AND agent_id = :agent_id "
    "UNION SELECT address FROM subscriber WHERE issuer = :issuer AND agent_id = :agent_id"
)
_NAMES = "given_name || ' ' || family_name"
_BY_ADDRESS = text(
    "SELECT issuer, agent_id FROM enrolment WHERE lower(address) = lower(:address) "
    "UNION SELECT issuer, agent_id FROM subscriber "
    "WHERE lower(address) = lower(:address) AND agent_id IS NOT NULL "
    "UNION SELECT issuer, agent_id FROM former_address WHERE address = lower(:address) "
    "ORDER BY issuer, agent_id LIMIT :most"
)
# A family name begins with a typed word (d' or l' with the next word) or the whole text, compared as in the
# index.
_BY_NAME = text(
    f"""
    WITH typed AS (SELECT {FOLDED.format("CAST(:typed AS text)")} AS name),
         word AS (SELECT DISTINCT word FROM typed, unnest(string_to_array(name, ' ')) AS word
                   WHERE word <> ''),
         beginning AS (SELECT word AS value FROM word WHERE length(word) > 1 UNION SELECT name FROM typed
                       UNION SELECT pair[1] FROM typed, regexp_matches(name, '\\m[^ ] [^ ]+', 'g') AS pair)
    SELECT DISTINCT issuer, agent_id
      FROM beginning CROSS JOIN LATERAL (
           SELECT issuer, agent_id FROM enrolment
            WHERE {FOLDED.format("family_name")} ~>=~ beginning.value
              AND {FOLDED.format("family_name")} ~<~ (beginning.value || U&'\\+10FFFD')
              AND NOT EXISTS (
                  SELECT FROM word
                   WHERE position(' ' || word.word IN ' ' || {FOLDED.format(_NAMES)}) = 0)
            LIMIT 1000) AS found
     ORDER BY issuer, agent_id LIMIT :most"""  # noqa: S608 our own words
)
_FOLDED = text(f"SELECT {FOLDED.format('CAST(:typed AS text)')}")
_FAMILY_NAME = FOLDED.format("family_name")
# Go from name to name along the index: there are far fewer names than enrolments.
_FAMILY_NAMES = text(
    f"""
    WITH RECURSIVE name (beginning, value) AS (
         SELECT beginning, first.value
           FROM unnest(CAST(:beginnings AS text[])) AS beginning CROSS JOIN LATERAL (
                SELECT {_FAMILY_NAME} AS value FROM enrolment
                 WHERE {_FAMILY_NAME} ~>=~ beginning AND {_FAMILY_NAME} ~<~ (beginning || U&'\\+10FFFD')
                 ORDER BY {_FAMILY_NAME} USING ~<~ LIMIT 1) AS first
          UNION ALL
         SELECT beginning, next.value
           FROM name CROSS JOIN LATERAL (
                SELECT {_FAMILY_NAME} AS value FROM enrolment
                 WHERE {_FAMILY_NAME} ~>~ name.value AND {_FAMILY_NAME} ~<~ (beginning || U&'\\+10FFFD')
                 ORDER BY {_FAMILY_NAME} USING ~<~ LIMIT 1) AS next)
    SELECT value FROM name LIMIT :most"""  # noqa: S608 our own words
)
_OF_FAMILY_NAMES = text(
    f"""
    SELECT DISTINCT issuer, agent_id, {FOLDED.format("given_name")} AS given_name,
           {_FAMILY_NAME} AS family_name
      FROM enrolment WHERE {_FAMILY_NAME} = ANY (CAST(:names AS text[]))
     ORDER BY issuer, agent_id LIMIT :most"""  # noqa: S608 our own words
)
_KNOWN = text(
    """
    SELECT agent.issuer, agent.agent_id, newest.given_name, newest.family_name, newest.address,
           (SELECT count(*) FROM enrolment
             WHERE enrolment.issuer = agent.issuer AND enrolment.agent_id = agent.agent_id) AS enrolments
      FROM unnest(CAST(:issuers AS text[]), CAST(:agents AS text[])) AS agent (issuer, agent_id)
           CROSS JOIN LATERAL (
           SELECT given_name, family_name, address FROM (
               SELECT given_name, family_name, address, since AS at, 0 AS place FROM enrolment
                WHERE enrolment.issuer = agent.issuer AND enrolment.agent_id = agent.agent_id
                UNION ALL
               SELECT given_name, family_name, address, created_at, 1 FROM subscriber
                WHERE subscriber.issuer = agent.issuer AND subscriber.agent_id = agent.agent_id
                UNION ALL
               SELECT given_name, family_name, address, created_at, 2 FROM mail
                WHERE mail.issuer = agent.issuer AND mail.recipient = agent.agent_id) AS stated
            ORDER BY place, at DESC LIMIT 1) AS newest"""
)
