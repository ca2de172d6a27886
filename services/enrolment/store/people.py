from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.roster_lines import plain
from services.enrolment.rules.states import State
from services.enrolment.store import sessions
from services.enrolment.store.enrolments import enrolment_of
from services.enrolment.tables import NAME_SQL, SOUGHT_SQL
from shared.database import Row, Transaction

LOOKED_AT = 1000
MOST_WORDS = 12
"""Each word of a search is looked for by itself."""


@dataclass(frozen=True, slots=True)
class FoundPeople:
    """``is_cut``: there may be more."""

    found: Sequence[EnrolmentInSession]
    is_cut: bool


async def find(tx: Transaction, typed: str, organiser: str | None, most: int) -> FoundPeople:
    """Find people in the last sessions of an organiser, or of all organisers.

    The text is an address, an identifier, or begins a word of the family name. Each word must begin a word of
    names, address, employer or identifier. Words beyond :data:`MOST_WORDS` are left out.
    """
    typed = " ".join(typed.split()[:MOST_WORDS])
    sought = plain(typed).translate(_SPACES).split()[:MOST_WORDS]
    parameters = {
        "organiser": organiser,
        "looked_at": LOOKED_AT,
        "states": [state.value for state in State],
        "beginnings": _beginnings(plain(typed), sought),
        "words": [f"% {word}%" for word in sought],
        "address": typed.strip().lower(),
        "agent": typed.strip(),
        "most": most + 1,
    }
    rows = (await tx.execute(FIND, parameters)).all() if sought else ()
    return FoundPeople(await _in_sessions(tx, rows[:most]), len(rows) > most)


async def others_of(
    tx: Transaction, enrolment: Enrolment, organiser: str | None, most: int
) -> list[EnrolmentInSession]:
    parameters = {
        **enrolment.agent.key._asdict(),
        "enrolment": enrolment.enrolment_id,
        "organiser": organiser,
        "most": most,
    }
    return await _in_sessions(tx, (await tx.execute(_OTHERS, parameters)).all())


_PARTS_WORDS = "@.,;:/_\\%’'-"
_SPACES = str.maketrans(_PARTS_WORDS, " " * len(_PARTS_WORDS))


def _beginnings(typed: str, sought: Sequence[str]) -> list[str]:
    variants = {typed.replace("’", "'"), typed.replace("'", "’")}
    return sorted({*sought, *(part for typed in variants for part in (typed.strip(), *typed.split()))})


async def _in_sessions(tx: Transaction, rows: Sequence[Row]) -> list[EnrolmentInSession]:
    known = await sessions.states(tx, {row.session_id for row in rows})
    return [EnrolmentInSession(enrolment_of(row), known[row.session_id]) for row in rows]


_OWN = "(CAST(:organiser AS text) IS NULL OR session.state ->> 'organiser' = :organiser)"
_LAST_FIRST = "CAST(session.state ->> 'starts_at' AS timestamptz) DESC, enrolment_id"
_WORDS = f"' ' || translate({SOUGHT_SQL}, '@.,;:/_’''-' || chr(10), '{' ' * 11}')"
# Search by each session's roster indexes: another index would slow down every decision.
FIND = text(f"""
    WITH own AS MATERIALIZED (
        SELECT session_id, CAST(session.state ->> 'starts_at' AS timestamptz) AS starts_at
          FROM session WHERE {_OWN} ORDER BY starts_at DESC LIMIT :looked_at),
    found AS (
        SELECT DISTINCT person.enrolment_id, starts_at
          FROM own CROSS JOIN LATERAL (
               SELECT named.enrolment_id
                 FROM unnest(CAST(:states AS text[])) AS of_state,
                      unnest(CAST(:beginnings AS text[])) AS beginning, LATERAL (
                      SELECT enrolment_id FROM enrolment
                       WHERE session_id = own.session_id AND state = of_state
                         AND {NAME_SQL} >= beginning AND {NAME_SQL} < beginning || U&'\\+10FFFD'
                         AND {_WORDS} LIKE ALL(CAST(:words AS text[])) LIMIT :most) AS named
                UNION ALL
               SELECT enrolment_id FROM enrolment
                WHERE session_id = own.session_id AND lower(agent ->> 'email') = :address
                UNION ALL
               SELECT enrolment_id FROM enrolment
                WHERE session_id = own.session_id AND agent_id = :agent) AS person
         ORDER BY starts_at DESC, enrolment_id LIMIT :most)
    SELECT enrolment.* FROM found JOIN enrolment USING (enrolment_id)
     ORDER BY found.starts_at DESC, enrolment_id""")  # noqa: S608 our own words
_OTHERS = text(
    "SELECT enrolment.* FROM enrolment JOIN session USING (session_id) "  # noqa: S608 our own words
    f"WHERE agent_id = :agent_id AND issuer = :issuer AND enrolment_id <> :enrolment AND {_OWN} "
    f"ORDER BY {_LAST_FIRST} LIMIT :most"
)
