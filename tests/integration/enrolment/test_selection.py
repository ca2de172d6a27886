"""How an organiser ranks the candidates of a selection: by JSON, by a sheet, and by a draft on a page."""

import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from services.enrolment.rules.requests import Nomination
from services.enrolment.service import ranking_drafts
from services.enrolment.service.ranking_drafts import CandidatesToRank
from services.enrolment.service.selection import Selection
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent, Status
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.manage import OrganiserClient, hidden, page_of, send, text_of
from tests.integration.enrolment.organising import BRETAGNE, by_line, lines, of
from tests.integration.enrolment.organising import send as send_sheet
from tests.support.builders import an_agent

PAGES = "services.enrolment.pages.manage.ranking"
FAMILIES = ("Durand", "Le Goff", "Martin", "Bernard")


async def applied(
    front: Front, number: int = 3, **changes: Any
) -> tuple[SessionState, list[Agent], list[UUID]]:
    """Candidates C-0 to C-2, or more, who applied for one seat in this order, and their enrolments."""
    agents = [an_agent(f"C-{at}", family_name=FAMILIES[at]) for at in range(number)]
    session = await front.open(*agents, **{"capacity": 1, "approval": "selection"} | changes)
    return session, agents, [(await front.of(session, agent)).enrolment_id for agent in agents]


async def select(ask: Ask, session: SessionState, *ranked: str, not_selected: Any = ()) -> httpx.Response:
    ranking = {"ranked": [*ranked], "not_selected": [*not_selected]}
    return await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking)


# ------------------------------------------------------------------------------------------- JSON, sheets


async def test_a_ranking_decides_about_all_at_once_keeps_its_author_and_is_final(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session, agents, _ = await applied(front)
    answer = await select(ask, session, "C-2", "C-0", not_selected=["C-1"])
    assert answer.json() == {"enrolled": 1, "waitlisted": 1, "refused": 1}
    assert await front.states(session, *agents) == ["waitlisted", "refused", "enrolled"]
    authors = await rows("SELECT DISTINCT facts->>'author' AS author FROM enrolment_change")
    assert [row.author for row in authors] == [BRETAGNE]
    problem(await select(ask, session, "C-2", "C-0", not_selected=["C-1"]), 422)


async def test_a_ranking_that_is_not_of_all_who_applied_changes_nothing(front: Front, ask: Ask) -> None:
    session, agents, _ = await applied(front)
    missing = await select(ask, session, "C-0", "C-1")
    unknown = await select(ask, session, "C-0", "C-1", "C-2", "C-9")
    twice = await select(ask, session, "C-0", "C-1", not_selected=["C-2", "C-1"])
    errors = [
        (answer.status_code, error["code"], error["agent_id"])
        for answer in (missing, unknown, twice)
        for error in answer.json()["errors"]
    ]
    assert errors == [(422, "missing", "C-2"), (422, "unknown", "C-9"), (422, "twice", "C-1")]
    assert await front.states(session, *agents) == ["pending_selection"] * 3


async def test_the_candidates_come_as_a_sheet_that_goes_back_filled_in(front: Front, ask: Ask) -> None:
    session, agents, _ = await applied(front)
    heading, *candidates = lines(await ask("GET", of(session, "selection.csv"), by=BRETAGNE))
    assert heading[:2] == ["Rang", "Identifiant"]
    ranks = {"C-0": "20", "C-1": "Non retenue", "C-2": "3"}
    filled = [heading, *([ranks[candidate[1]], *candidate[1:]] for candidate in candidates)]
    sheet = "\r\n".join(map(";".join, filled)).encode("cp1252")
    answer = await send_sheet(ask, "PUT", of(session, "selection.csv"), sheet)
    assert answer.json() == {"enrolled": 1, "waitlisted": 1, "refused": 1}
    assert await front.states(session, *agents) == ["waitlisted", "refused", "enrolled"]


BAD_SHEETS = {
    "Identifiant;Rang\nC-0;1\nC-1;1\nC-2;\nC-0;2\n;3\n": [
        (3, "rank_twice"),
        (4, "not_a_rank"),
        (5, "twice"),
        (6, "empty"),
    ],
    "Identifiant;Rang\nC-0;0\nC-1;-1\nC-2;1,5\n": [(number, "not_a_rank") for number in (2, 3, 4)],
    "Identifiant;Rang\nC-0;1\n\nC-9;2\nC-1;non\n": [(1, "missing"), (4, "unknown")],
    "Identifiant\nC-0\n": [(1, "column_missing")],
    'Identifiant;Rang\n"C-0;1\n': [(2, "bad_quotes")],
}


async def test_a_sheet_that_cannot_be_a_ranking_is_refused_line_by_line(front: Front, ask: Ask) -> None:
    session, agents, _ = await applied(front)
    path = of(session, "selection.csv")
    refused = {sheet: by_line(await send_sheet(ask, "PUT", path, sheet)) for sheet in BAD_SHEETS}
    assert refused == BAD_SHEETS
    assert await front.states(session, *agents) == ["pending_selection"] * 3


async def test_a_cancelled_session_selects_nobody_and_a_sheet_must_be_sent_as_one(
    front: Front, ask: Ask
) -> None:
    session, *_ = await applied(front)
    problem(await ask("PUT", of(session, "selection.csv"), by=BRETAGNE, json={"ranked": []}), 415)
    await front.change(session, status=Status.CANCELLED)
    problem(await select(ask, session), 409)


# ------------------------------------------------------------------------------------------- the draft


class Draft:
    """The page with the draft of a ranking of four candidates for two seats."""

    def __init__(self, front: Front, organiser: OrganiserClient) -> None:
        self.front, self.organiser = front, organiser

    async def publish(self, **changes: Any) -> "Draft":
        self.session, self.agents, self.ids = await applied(self.front, 4, capacity=2, **changes)
        self.path = page_of(self.session, "/candidatures")
        return self

    def ranks(self, *numbers: int) -> dict[str, str]:
        """The fields of a form with these ranks; 0: not selected."""
        ranked = list(zip(self.ids, numbers, strict=False))
        return {f"rang-{each}": str(number) for each, number in ranked if number} | {
            f"non-{each}": "oui" for each, number in ranked if not number
        }

    async def save(self, *numbers: int, **fields: str) -> httpx.Response:
        return await send(self.organiser, self.path, **self.ranks(*numbers), **fields)

    async def post(self, shown: httpx.Response, rest: str = "", **fields: str) -> httpx.Response:
        """Send a form with the key and the version of the page that was shown."""
        form = {name: hidden(shown.text, name) for name in ("cle", "version")} | fields
        return await self.organiser.post(f"{self.path}{rest}", data=form)

    async def order(self) -> list[str]:
        """The candidates who are ranked or not selected, in the order of the page."""
        page = text_of(await self.organiser.get(self.path)).partition("Classées")[2]
        return sorted((family for family in FAMILIES if f"{family} " in page), key=page.index)

    async def states(self) -> list[str]:
        return await self.front.states(self.session, *self.agents)


@pytest.fixture
async def draft(front: Front, organiser: OrganiserClient) -> Draft:
    return await Draft(front, organiser).publish()


UNDECIDED = ["pending_selection"] * 4


async def test_a_draft_is_kept_moves_by_steps_and_decides_nothing(draft: Draft) -> None:
    done = await draft.save(3, 1, 2, brouillon="")
    assert done.headers["location"] == f"{draft.path}?fait=brouillon"
    assert await draft.order() == ["Le Goff", "Martin", "Durand", "Bernard"]
    moved = await draft.save(3, 1, 2, monter=str(draft.ids[2]))
    assert moved.headers["location"] == f"{draft.path}#candidat-{draft.ids[2]}"
    assert await draft.order() == ["Martin", "Le Goff", "Durand", "Bernard"]
    await draft.save(3, 2, 1, descendre=str(draft.ids[2]))
    assert await draft.order() == ["Le Goff", "Martin", "Durand", "Bernard"]
    assert await draft.states() == UNDECIDED


async def test_one_button_selects_nobody_of_those_without_a_rank(draft: Draft) -> None:
    typed = {f"rang-{each}": "" for each in draft.ids} | {f"rang-{draft.ids[1]}": "1"}
    await send(draft.organiser, draft.path, **typed, reste="oui")
    page = (await draft.organiser.get(draft.path)).text
    assert page.count('value="oui" checked') == 3
    wrong = await send(draft.organiser, draft.path, **{f"rang-{draft.ids[0]}": "premier"})
    assert wrong.status_code == 422
    assert await draft.states() == UNDECIDED


@pytest.mark.parametrize("version", ["0", "2", "99"])
async def test_a_draft_over_another_version_is_not_saved_and_shows_both(draft: Draft, version: str) -> None:
    await draft.save(2, 1, 0)
    shown = await draft.organiser.get(draft.path)
    late = await draft.post(shown, version=version, **draft.ranks(1, 2))
    said = text_of(late, 409).replace("\u00a0", " ")
    assert "1. Le Goff Zoé, 2. Durand Zoé ; non retenues : Martin Zoé." in said
    assert hidden(late.text, "version") == "1", "sent again, it replaces"


async def test_a_draft_of_before_the_decision_is_not_saved(draft: Draft) -> None:
    before = await draft.organiser.get(draft.path)
    await draft.post(await draft.save(1, 2, 3, 0, essai="oui"), "/decision")
    await draft.front.enrol(draft.session, late := an_agent())
    draft.ids = [(await draft.front.of(draft.session, late)).enrolment_id]
    stale = await draft.post(before, **draft.ranks(1))
    assert "Entre-temps la sélection a été décidée" in text_of(stale, 409)
    assert (await draft.save(1)).status_code == 303


async def test_a_trial_counts_without_deciding_and_the_decision_follows_the_draft_that_was_tried(
    draft: Draft, rows: SelectRows
) -> None:
    before = await rows("SELECT count(*) FROM outbox")
    tried = await draft.save(1, 1, 2, 0, essai="oui")
    said = text_of(tried).replace("\u00a0", " ")
    assert "2 personnes avec une place" in said
    assert "entre Durand Zoé, Le Goff Zoé, l’ordre de réception décide" in said
    await draft.save(1, 2, 3, 0)  # of a colleague
    assert (await draft.post(tried, "/decision")).status_code == 409
    assert (await draft.states(), await rows("SELECT count(*) FROM outbox")) == (UNDECIDED, before)
    tried = await draft.save(3, 1, 2, 0, essai="oui")
    done = await draft.post(tried, "/decision")
    assert done.headers["location"] == page_of(draft.session, "?fait=decidee")
    assert await draft.states() == ["waitlisted", "enrolled", "enrolled", "refused"]


async def test_a_draft_that_a_colleague_saves_before_the_trial_is_not_tried(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = ranking_drafts.decide

    async def decide_after_a_colleague(*arguments: Any, **options: Any) -> Selection:
        await draft.save(0, 0, 0, 0, brouillon="")
        return await decide(*arguments, **options)

    monkeypatch.setattr(ranking_drafts, "decide", decide_after_a_colleague)
    said = text_of(await draft.save(3, 1, 2, 0, essai="oui"), 422)
    assert "Décider ainsi" not in said


async def test_no_other_draft_is_saved_between_the_trial_and_its_page(
    draft: Draft, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    show, can_save = ranking_drafts.show, []
    free = text("SELECT session_id FROM session WHERE session_id = :id FOR UPDATE SKIP LOCKED")

    async def look_and_show(*arguments: Any) -> CandidatesToRank | None:
        async with database.transaction() as tx:
            can_save.append(await tx.scalar(free, {"id": draft.session.session_id}) is not None)
        return await show(*arguments)

    monkeypatch.setattr(ranking_drafts, "show", look_and_show)
    await draft.save(3, 1, 2, 0, essai="oui")
    assert can_save == [True, False], "of the form, and of the trial"


async def test_everybody_is_decided_about_also_a_candidate_who_came_meanwhile(draft: Draft) -> None:
    assert "2 sans rang" in text_of(await draft.save(1, 2, essai="oui"), 422)
    tried = await draft.save(1, 2, 3, 4, essai="oui")
    await draft.front.enrol(draft.session, an_agent())
    assert "1 sans rang" in text_of(await draft.post(tried, "/decision"), 409)
    assert await draft.states() == UNDECIDED


async def test_more_candidates_than_a_page_shows_are_ranked_and_decided_about(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{PAGES}.SHOWN", 2)
    assert (await draft.organiser.get(draft.path)).text.count("data-rank") == 2
    await draft.save(1, 2, 3, 0, brouillon="")
    tried = await draft.save(2, 1, essai="oui")  # who is not in the form stays
    await draft.post(tried, "/decision")
    assert await draft.states() == ["enrolled", "enrolled", "waitlisted", "refused"]


async def test_the_last_list_of_trainees_is_shown_with_the_authority_while_that_is_known(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    trainee, shown = an_agent(), []
    siret, name = trainee.employer.siret, trainee.employer.name
    session, other = [await front.open(format="bespoke", audience={"sirets": [siret]}) for _ in range(2)]
    for each in (session, other):
        await front.answer(Nomination(uuid4(), clock.now(), each.session_id, (trainee,), siret))
    for change in ("SELECT 1", "DELETE FROM enrolment"):
        async with database.transaction() as tx:
            await tx.execute(text(change))
        page = text_of(await organiser.get(page_of(session, "/candidatures")))
        shown.append(re.findall(rf"(?:{name} )?SIRET {siret}", page))
    assert shown == [[f"{name} SIRET {siret}"], [f"SIRET {siret}"]]
