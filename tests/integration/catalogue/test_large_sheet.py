"""A sheet of two thousand lines, sent by a form: tried, with faults here and there, then drafted at once."""

import re

import httpx
from sqlalchemy import text

from shared.database import Database
from tests.integration.catalogue.desk import Told, desk, upload

__all__ = ["desk"]

LINES = 2_000

HEADING = "Offre;Titre;Début;Fin;Ouverture des inscriptions;Lieu;Places\n"


def a_sheet(offer_id: str, faults: dict[int, tuple[str, str]]) -> bytes:
    """``faults``: by number of the line in the file, what stands there instead of what."""
    lines = [HEADING]
    for number in range(2, LINES + 2):
        line = f"{offer_id};Session {number};30/03/2027 09:30;30/03/2027 17:00;01/03/2027 09:00;Rennes;40\n"
        was, becomes = faults.get(number, ("Rennes", "Rennes"))
        lines.append(line.replace(was, becomes))
    return "".join(lines).encode()


async def test_two_thousand_lines_are_tried_and_drafted_in_one_transaction(
    desk: httpx.AsyncClient, an_empty_offer: str, database: Database, told: Told
) -> None:
    faults = {
        3: ("17:00", "08:00"),
        1_000: (f"{an_empty_offer};", "rien;"),
        LINES + 1: (";40\n", ";beaucoup\n"),
    }
    tried = await upload(desk, a_sheet(an_empty_offer, faults), essai="oui")
    wrong = re.findall(r"</span>(\d+)</th><td[^>]*>([^<]*)</td>", tried.text)
    assert wrong == [("3", "Fin"), ("1000", "Offre"), (str(LINES + 1), "Places")]
    assert (await upload(desk, a_sheet(an_empty_offer, {LINES + 1: faults[LINES + 1]}))).status_code == 422
    assert await _stored(database) == (0, 0, 0)

    done = await upload(desk, a_sheet(an_empty_offer, {}))
    assert "2\u202f000 sessions en brouillon" in done.text
    assert await _stored(database) == (LINES, 1, LINES)
    assert await told() == []  # nobody is told of a draft


async def _stored(database: Database) -> tuple[int, int, int]:
    """How many sessions there are, by how many transactions, and how many lines of the trail tell of them."""
    async with database.quiet_transaction() as tx:
        query = "SELECT count(*), count(DISTINCT xmin::text), (SELECT count(*) FROM audit_log) FROM session"
        row = (await tx.execute(text(query))).one()
    return row[0], row[1], row[2]
