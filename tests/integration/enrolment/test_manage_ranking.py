"""Candidates are ranked on a page: drafts, ties, a trial, the decision; and who waits for an employer."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.enrolment.rules.requests import Nomination
from services.enrolment.service import ranking_drafts
from services.enrolment.service.ranking_drafts import CandidatesToRank
from services.enrolment.service.selection import Selection
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.references import reference_of
from shared.web import french
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import OrganiserClient, hidden, page_of, send, text_of
from tests.support.builders import an_agent, open_now

NAMES = (("Zoé", "Durand"), ("Loïc", "Le Goff"), ("Élise", "Martin"), ("Yann", "Bernard"))


async def applied(front: Front, **changes: Any) -> tuple[SessionState, list[Agent], list[UUID]]:
    """Four who applied for two seats, in this order."""
    session = open_now(capacity=2, approval="selection", **changes)
    agents = [an_agent(given_name=given, family_name=family) for given, family in NAMES]
    await front.publish(session)
    await front.enrol(session, *agents)
    return session, agents, [(await front.of(session, agent)).enrolment_id for agent in agents]


def ranks(ids: list[UUID], *numbers: int) -> dict[str, str]:
    """The fields of a form with these ranks; 0: not selected."""
    return {f"rang-{each}": str(number) for each, number in zip(ids, numbers, strict=False) if number} | {
        f"non-{each}": "oui" for each, number in zip(ids, numbers, strict=False) if not number
    }


def order_in(page: str) -> list[str]:
    families = [family for _, family in NAMES]
    return sorted((family for family in families if f"{family} " in page), key=page.index)


async def test_a_draft_is_kept_and_seen_by_colleagues_and_decides_nothing(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, ids = await applied(front)
    path = page_of(session, "/candidatures")
    first = await organiser.get(path)
    assert "Sans rang" in text_of(first)
    assert "<span data-by-hand hidden>, ou faites glisser" in first.text  # the script shows it
    done = await send(organiser, path, **ranks(ids, 3, 1, 2), brouillon="")
    assert done.headers["location"] == f"{path}?fait=brouillon"
    page = text_of(await organiser.get(path))
    assert order_in(page.partition("Classées")[2]) == ["Le Goff", "Martin", "Durand", "Bernard"]
    assert "Enregistré par advisor-bretagne" in page
    assert set(await front.states(session, *agents)) == {"pending_selection"}


async def test_a_button_moves_a_candidate_by_a_step(front: Front, organiser: OrganiserClient) -> None:
    session, _, ids = await applied(front)
    path = page_of(session, "/candidatures")
    done = await send(organiser, path, **ranks(ids, 1, 2, 3), monter=str(ids[2]))
    assert done.headers["location"] == f"{path}#candidat-{ids[2]}"
    await send(organiser, path, **ranks(ids, 1, 3, 2), descendre=str(ids[0]))
    await send(organiser, path, **ranks(ids, 2, 3, 1), monter=str(ids[3]))
    page = text_of(await organiser.get(path))
    assert order_in(page.partition("Classées")[2]) == ["Martin", "Durand", "Le Goff", "Bernard"]


async def test_one_button_selects_nobody_of_those_without_a_rank(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, ids = await applied(front)
    path = page_of(session, "/candidatures")
    assert 'name="reste"' not in (await organiser.get(path)).text  # nobody has a rank yet
    await send(organiser, path, **{f"rang-{ids[1]}": "1"}, brouillon="")
    assert 'name="reste" value="oui">N’en retenir aucune<' in (await organiser.get(path)).text
    typed = {f"rang-{each}": "" for each in ids} | {f"rang-{ids[1]}": "1"}
    done = await send(organiser, path, **typed, reste="oui")
    assert done.headers["location"] == f"{path}?fait=brouillon"
    page = (await organiser.get(path)).text
    assert page.count('value="oui" checked') == 3
    assert "Sans rang" not in page
    assert set(await front.states(session, *agents)) == {"pending_selection"}


async def test_a_draft_over_a_newer_one_is_not_saved_and_shows_both(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, ids = await applied(front)
    path = page_of(session, "/candidatures")
    page = (await organiser.get(path)).text
    await send(organiser, path, **ranks(ids, 2, 1, 0))
    answer = await organiser.post(path, data={"cle": hidden(page, "cle"), "version": "0", **ranks(ids, 1, 2)})
    said = text_of(answer, 409)
    assert "Rien n’a été enregistré." in said
    refused = f"{NAMES[2][1]} {NAMES[2][0]}"
    assert f"1. Le Goff Loïc, 2. Durand Zoé ; non retenues : {refused}." in said.replace("\u00a0", " ")
    assert hidden(answer.text, "version") == "1"  # sent again, it replaces


async def test_ties_are_told_and_a_trial_counts_without_deciding(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents, ids = await applied(front)
    path = page_of(session, "/candidatures")
    before = await rows("SELECT count(*) AS number FROM outbox")
    tried = await send(organiser, path, **ranks(ids, 1, 1, 2, 0), essai="oui")
    said = text_of(tried).replace("\u00a0", " ")
    assert "2 personnes avec une place" in said
    assert "1 personne sur la liste d’attente" in said
    assert "1 personne sans suite" in said
    assert "Les candidatures sont ouvertes jusqu’au" in said
    assert "Rang 1 donné 2 fois : entre Durand Zoé, Le Goff Loïc, l’ordre de réception décide." in said
    assert set(await front.states(session, *agents)) == {"pending_selection"}
    assert await rows("SELECT count(*) AS number FROM outbox") == before


async def test_the_decision_follows_the_draft_that_was_tried(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, ids = await applied(front)
    path = page_of(session, "/candidatures")
    tried = await send(organiser, path, **ranks(ids, 3, 1, 2, 0), essai="oui")
    form = {"cle": hidden(tried.text, "cle"), "version": hidden(tried.text, "version")}
    await send(organiser, path, **ranks(ids, 1, 2, 3, 0))  # a colleague saves another
    late = await organiser.post(f"{path}/decision", data=form)
    assert "Le brouillon a changé depuis votre essai" in text_of(late, 409)
    assert set(await front.states(session, *agents)) == {"pending_selection"}
    tried = await send(organiser, path, **ranks(ids, 3, 1, 2, 0), essai="oui")
    done = await organiser.post(
        f"{path}/decision", data={"cle": form["cle"], "version": hidden(tried.text, "version")}
    )
    assert done.headers["location"] == page_of(session, "?fait=decidee")
    assert await front.states(session, *agents) == ["waitlisted", "enrolled", "enrolled", "refused"]
    assert "Aucune candidature n’attend de décision." in text_of(await organiser.get(path))


async def test_what_a_colleague_saves_before_the_trial_is_not_tried(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _, ids = await applied(front)
    path, decide = page_of(session, "/candidatures"), ranking_drafts.decide

    async def decide_after_a_colleague(*arguments: Any, **options: Any) -> Selection:
        await send(organiser, path, **ranks(ids, 0, 0, 0, 0), brouillon="")
        return await decide(*arguments, **options)

    monkeypatch.setattr(ranking_drafts, "decide", decide_after_a_colleague)
    said = text_of(await send(organiser, path, **ranks(ids, 3, 1, 2, 0), essai="oui"), 422)
    assert "Le brouillon a changé depuis votre essai" in said
    assert "Décider ainsi" not in said


async def test_no_other_draft_is_saved_between_the_trial_and_its_page(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    session, _, ids = await applied(front)
    show, can_save = ranking_drafts.show, []
    free = text("SELECT session_id FROM session WHERE session_id = :id FOR UPDATE SKIP LOCKED")

    async def look_and_show(*arguments: Any) -> CandidatesToRank | None:
        async with database.transaction() as tx:
            can_save.append(await tx.scalar(free, {"id": session.session_id}) is not None)
        return await show(*arguments)

    monkeypatch.setattr(ranking_drafts, "show", look_and_show)
    await send(organiser, page_of(session, "/candidatures"), **ranks(ids, 3, 1, 2, 0), essai="oui")
    assert can_save == [True, False], "of the form, and of the trial"


async def test_everybody_is_decided_about_also_who_came_meanwhile(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, ids = await applied(front)
    path = page_of(session, "/candidatures")
    undecided = await send(organiser, path, **ranks(ids, 1, 2), essai="oui")
    said = text_of(undecided, 422)
    assert "il reste à le compléter." in said
    assert "2 sans rang ni « non retenue »" in said
    tried = await send(organiser, path, **ranks(ids, 1, 2, 3, 4), essai="oui")
    late = an_agent()
    await front.enrol(session, late)
    form = {"cle": hidden(tried.text, "cle"), "version": hidden(tried.text, "version")}
    assert "1 sans rang" in text_of(await organiser.post(f"{path}/decision", data=form), 409)
    assert await front.states(session, late) == ["pending_selection"]


async def test_that_more_wait_for_their_employer_is_said_with_where_all_are(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_now(approval="employer")
    await front.publish(session)
    await front.enrol(session, an_agent(), an_agent(family_name="Riou"))
    path, everybody = page_of(session, "/candidatures"), page_of(session, "?etat=accord")
    whole = await organiser.get(path)
    assert "toutes ces personnes" not in whole.text
    assert f'href="{everybody}">Noter la même réponse pour plusieurs' in whole.text
    monkeypatch.setattr("services.enrolment.pages.manage.ranking.PENDING", 1)
    cut = await organiser.get(path)
    assert "Voici 1 des 2 personnes dont l’accord est attendu" in text_of(cut).replace("\u00a0", " ")
    assert f'href="{everybody}">toutes ces personnes' in cut.text
    assert "Riou" in text_of(await organiser.get(everybody))


async def test_lists_of_trainees_are_shown_with_whose_they_are_and_when_they_came(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    trainee = an_agent()
    siret, name = trainee.employer.siret, trainee.employer.name
    session = open_now(format="bespoke", audience={"sirets": [siret]})
    await front.publish(session)
    path = page_of(session, "/candidatures")
    assert "Aucune liste de stagiaires n’a été reçue." in text_of(await organiser.get(path))
    received_at = clock.now()
    await front.answer(Nomination(uuid4(), received_at, session.session_id, (trainee,), siret))
    said = text_of(await organiser.get(path)).partition("Dernière liste reçue")[2]
    day = french.local_day(received_at, session.timezone).capitalize()
    assert said.strip().startswith(f"{name} SIRET {siret} {day} à ")
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM enrolment WHERE session_id = :id"), {"id": session.session_id})
    said = text_of(await organiser.get(path)).partition("Dernière liste reçue")[2]
    assert said.strip().startswith(f"SIRET {siret}")


async def test_a_draft_of_before_the_decision_is_not_saved_and_says_what_happened(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, ids = await applied(front)
    path = page_of(session, "/candidatures")
    key = hidden((await organiser.get(path)).text, "cle")
    tried = await send(organiser, path, **ranks(ids, 1, 2, 3, 0), essai="oui")
    await organiser.post(f"{path}/decision", data={"cle": key, "version": hidden(tried.text, "version")})
    await front.enrol(session, late := an_agent(family_name="Abel"))
    again = (await front.of(session, late)).enrolment_id
    for version in ("0", "1", "99"):
        stale = await organiser.post(path, data={"cle": key, "version": version, f"rang-{again}": "1"})
        said = text_of(stale, 409)
        assert "Entre-temps la sélection a été décidée, ou le brouillon vidé, par advisor-bretagne" in said
    assert (await send(organiser, path, **ranks([again], 1))).status_code == 303


async def test_a_version_that_no_draft_has_is_not_saved(front: Front, organiser: OrganiserClient) -> None:
    session, _, ids = await applied(front)
    path = page_of(session, "/candidatures")
    key = hidden((await organiser.get(path)).text, "cle")
    stale = await organiser.post(path, data={"cle": key, "version": "7", **ranks(ids, 1)})
    assert "ou le brouillon vidé." in text_of(stale, 409)


async def test_more_candidates_than_a_page_shows_are_ranked_by_page_and_sheet_and_decided_about(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents, ids = await applied(front)
    path = page_of(session, "/candidatures")
    monkeypatch.setattr("services.enrolment.pages.manage.ranking.SHOWN", 2)
    first = await organiser.get(path)
    assert "Voici les trois cents premières" in text_of(first)
    assert first.text.count("data-rank") == 2
    await send(organiser, path, **ranks(ids, 1, 2, 3, 0), brouillon="")
    await send(organiser, path, **ranks(ids[:2], 2, 1), brouillon="")  # who is not in the form stays
    tried = await send(organiser, path, **ranks(ids[:2], 2, 1), essai="oui")
    form = {"cle": hidden(tried.text, "cle"), "version": hidden(tried.text, "version")}
    done = await organiser.post(f"{path}/decision", data=form)
    assert done.headers["location"] == page_of(session, "?fait=decidee")
    assert await front.states(session, *agents) == ["enrolled", "enrolled", "waitlisted", "refused"]


async def test_each_wrong_rank_is_listed_with_its_name_and_leads_to_its_field(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, ids = await applied(front)
    path = page_of(session, "/candidatures")
    wrong = await send(organiser, path, **{f"rang-{ids[0]}": "premier", f"rang-{ids[1]}": "0"})
    for each, name in zip(ids, ("Durand Zoé", "Le Goff Loïc"), strict=False):
        assert f'<a href="#rang-{each}">Rang de {name}' in wrong.text
    assert re.search(rf'name="rang-{ids[0]}"[^>]* value="premier"', wrong.text)  # to be corrected


async def test_ranks_that_were_typed_are_shown_where_the_log_in_has_ended(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, ids = await applied(front)
    organiser.cookies.clear()
    late = await organiser.post(page_of(session, "/candidatures"), data={"cle": "x", **ranks(ids, 1, 2)})
    assert f"Rang, {reference_of(ids[1])}\u00a0: 2" in late.text
