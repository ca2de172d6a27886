"""People as the organisers of several sessions look for them: by words, or by who they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text

from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.roster_lines import plain
from services.enrolment.store import sessions
from services.enrolment.store.enrolments import enrolment_of
from services.enrolment.tables import PARTS_WORDS, WORDS_SQL
from shared.database import Transaction

LOOKED_AT = 2000
"""Enrolments that have the words, in the sessions of whomever, of which those of one organiser are found."""


@dataclass(frozen=True, slots=True)
class FoundPeople:
    """Enrolments with their sessions; ``is_cut``: there are more, or may be."""

    found: Sequence[EnrolmentInSession]
    is_cut: bool


async def with_words(tx: Transaction, typed: str, organiser: str | None, most: int) -> FoundPeople:
    """Return the enrolments in sessions of an organiser, or of all, whose people have all words typed.

    The last session first. A word may be the beginning of one, of names, address, employer or identifier.
    """
    if not (query := _query(typed)):
        return FoundPeople([], is_cut=False)
    parameters = {"query": query, "organiser": organiser, "most": most + 1, "looked_at": LOOKED_AT}
    rows = (await tx.execute(WITH_WORDS, parameters)).all()
    found = [row for row in rows if row.enrolment_id is not None]
    is_cut = len(found) > most or rows[0].looked_at == LOOKED_AT
    return FoundPeople(await _in_sessions(tx, found[:most]), is_cut)


async def others_of(
    tx: Transaction, enrolment: Enrolment, organiser: str | None, most: int
) -> list[EnrolmentInSession]:
    """Return the other enrolments of an agent in sessions of an organiser, or of all, the last first."""
    parameters = {
        **enrolment.agent.key._asdict(),
        "enrolment": enrolment.enrolment_id,
        "organiser": organiser,
        "most": most,
    }
    return await _in_sessions(tx, (await tx.execute(_OTHERS, parameters)).all())


def _query(typed: str) -> str:
    """Return what is looked for as Postgres reads it: words, the last of what has no space may go on."""
    sought = []
    for typed_word in plain(typed).split():
        *whole, last = typed_word.translate(_SPACES).split() or [""]
        sought += [_quoted(word) for word in whole]
        if last:
            sought.append(f"{_quoted(last)}:*")
    return " & ".join(sought)


_SPACES = str.maketrans(PARTS_WORDS, " " * len(PARTS_WORDS))


def _quoted(word: str) -> str:
    return "'{}'".format(word.replace("\\", "\\\\").replace("'", "''"))


async def _in_sessions(tx: Transaction, rows: Sequence[Row[Any]]) -> list[EnrolmentInSession]:
    known = await sessions.states(tx, {row.session_id for row in rows})
    return [EnrolmentInSession(enrolment_of(row), known[row.session_id]) for row in rows]


_OWN = "(CAST(:organiser AS text) IS NULL OR session.state ->> 'organiser' = :organiser)"
_LAST_FIRST = "CAST(session.state ->> 'starts_at' AS timestamptz) DESC, enrolment_id"
# Of words that most have, as the name of a city, not all who have them are read, whosever they are. Words
# first: who is in the sessions of an organiser may be many more.
WITH_WORDS = text(f"""
    WITH likely AS MATERIALIZED (
        SELECT enrolment_id, session_id FROM enrolment
         WHERE {WORDS_SQL} @@ CAST(:query AS tsquery) LIMIT :looked_at),
    place AS (
        SELECT enrolment_id, row_number() OVER (ORDER BY {_LAST_FIRST}) AS place
          FROM likely JOIN session USING (session_id) WHERE {_OWN} ORDER BY place LIMIT :most)
    SELECT enrolment.*, looked_at
      FROM (SELECT count(*) AS looked_at FROM likely) AS counted
           LEFT JOIN place JOIN enrolment USING (enrolment_id) ON true ORDER BY place""")  # noqa: S608 our own words
_OTHERS = text(
    "SELECT enrolment.* FROM enrolment JOIN session USING (session_id) "  # noqa: S608 our own words
    f"WHERE agent_id = :agent_id AND issuer = :issuer AND enrolment_id <> :enrolment AND {_OWN} "
    f"ORDER BY {_LAST_FIRST} LIMIT :most"
)
