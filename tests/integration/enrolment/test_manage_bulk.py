"""Several people of a session at once: chosen in the roster, confirmed, and done one by one."""

import re
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.enrolment.service import enrolments
from services.enrolment.service.acting import Acting
from services.enrolment.service.enrolments import LineInSession
from services.enrolment.service.failures import NotFound
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import OrganiserClient, full, hidden, page_of, text_of
from tests.support.builders import a_question


async def choose(
    organiser: OrganiserClient, session: SessionState, ids: list[str], query: str = "", **fields: Any
) -> httpx.Response:
    key = hidden((await organiser.get(page_of(session))).text, "cle")
    return await organiser.post(page_of(session, f"/choix{query}"), data={"cle": key, "choix": ids, **fields})


async def confirm(
    organiser: OrganiserClient, session: SessionState, asked: httpx.Response, **fields: Any
) -> httpx.Response:
    """Confirm an action for the people and versions that its page showed."""
    versions = dict(re.findall(r'name="(version-[^"]+)" value="([^"]+)"', asked.text))
    ids = [name.removeprefix("version-") for name in versions]
    return await choose(organiser, session, ids, confirmer="oui", **versions, **fields)


async def ids_of(front: Front, session: SessionState, *agents: Agent) -> list[str]:
    return [str((await front.of(session, agent)).enrolment_id) for agent in agents]


async def test_several_are_withdrawn_except_those_who_changed_since_they_were_shown(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    asked = await choose(organiser, session, await ids_of(front, session, *agents[:3]), action="withdraw")
    unsaid = await confirm(organiser, session, asked, action="withdraw")
    assert unsaid.status_code == 422, "nobody says who asked for it"
    assert await front.states(session, *agents) == ["enrolled", "enrolled", "waitlisted", "waitlisted"]
    await front.withdraw(session, agents[1])  # the third has the seat
    done = await confirm(organiser, session, asked, action="withdraw", by="agent")
    assert "Fait pour 1 personne, pas fait pour 2 personnes." in text_of(done)
    assert await front.states(session, *agents) == ["withdrawn", "withdrawn", "enrolled", "enrolled"]


async def test_a_person_who_is_gone_meanwhile_does_not_hide_what_became_of_the_others(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents = await full(front)
    ids = await ids_of(front, session, *agents[:2])
    asked, withdraw = await choose(organiser, session, ids, action="withdraw"), enrolments.withdraw

    async def unless_gone(acting: Acting, enrolment_id: UUID, **withdrawal: Any) -> LineInSession:
        if str(enrolment_id) == ids[1]:
            raise NotFound(f"enrolment {enrolment_id}")
        return await withdraw(acting, enrolment_id, **withdrawal)

    monkeypatch.setattr(enrolments, "withdraw", unless_gone)
    done = await confirm(organiser, session, asked, action="withdraw", by="agent")
    assert "Fait pour 1 personne, pas fait pour 1 personne." in text_of(done)
    assert await front.states(session, *agents[:2]) == ["withdrawn", "enrolled"]


async def test_several_are_moved_as_long_as_the_other_session_has_seats(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    there = await front.open(capacity=1, waiting_list="none", venue="Dinan")
    await front.open(questions=[a_question("repas", "text", required=True)], venue="Saint-Brieuc")
    asked = await choose(organiser, session, await ids_of(front, session, *agents[:2]), action="move")
    choices = asked.text.partition('name="to_session_id"')[2].partition("</select>")[0]
    assert re.findall(r"<option[^>]*>([^,<]+)", choices) == ["Choisissez", "Dinan"], (
        "each answers for oneself"
    )
    assert (await confirm(organiser, session, asked, action="move")).status_code == 422
    done = await confirm(organiser, session, asked, action="move", to_session_id=str(there.session_id))
    assert "Fait pour 1 personne, pas fait pour 1 personne." in text_of(done)
    assert await front.states(session, *agents) == ["withdrawn", "enrolled", "enrolled", "waitlisted"]
    assert await front.states(there, agents[0]) == ["enrolled"]


async def test_a_choice_of_nobody_a_stranger_or_nonsense_changes_nothing(
    front: Front, organiser: OrganiserClient
) -> None:
    session, (agent, *_) = await full(front)
    other, (stranger, *_) = await full(front)
    [there], [here] = await ids_of(front, other, stranger), await ids_of(front, session, agent)
    said = {"action": "withdraw", "confirmer": "oui", "by": "agent", f"version-{there}": "1"}
    statuses = [
        (await choose(organiser, session, ids, **fields)).status_code
        for ids, fields in (
            ([], {"action": "withdraw"}),
            ([there], said),
            (["x"], {"action": "withdraw"}),
            ([here], {"action": "couronner"}),
        )
    ]
    assert statuses == [422, 200, 400, 400]
    assert await front.states(other, stranger) + await front.states(session, agent) == ["enrolled"] * 2


async def test_a_choice_leads_back_to_the_list_as_it_was(front: Front, organiser: OrganiserClient) -> None:
    session, agents = await full(front)
    chosen, listed_by = await ids_of(front, session, agents[2]), "?etat=attente&tri=nom&sens=inverse"
    asked = await choose(organiser, session, chosen, listed_by, action="withdraw", recherche="durand")
    assert f'action="{page_of(session, "/choix")}{listed_by}"' in unescape(asked.text)
    (back,) = re.findall(r'<form id="trouvees".*?</form>', asked.text)
    assert hidden(back, "recherche") == "durand"
    found = await choose(organiser, session, [], recherche="durand", tous="oui")
    shown = re.findall(r'name="choix" value="([^"]+)"[^>]*? checked', found.text)
    assert shown == await ids_of(front, session, agents[0]), "all who are found are chosen by a button"


async def test_a_message_goes_to_those_who_are_chosen_alone(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents = await full(front)
    ids = await ids_of(front, session, *agents[1:3])
    page = (await choose(organiser, session, ids, action="write")).text
    form: dict[str, Any] = {"cle": hidden(page, "cle"), "texte": "Au 2e étage."}
    form |= {name: re.findall(f'name="{name}" value="([^"]+)"', page) for name in ("pour", "audience")}
    to_all = await organiser.post(page_of(session, "/messages"), data=form | {"toutes": "oui"})
    assert ("Au 2e étage." in to_all.text, 'name="pour"' in to_all.text) == (True, False)
    await organiser.post(page_of(session, "/messages"), data=form | {"envoyer": "oui"})
    assert [row.enrolment_ids for row in await rows("SELECT enrolment_ids FROM message")] == [ids]
