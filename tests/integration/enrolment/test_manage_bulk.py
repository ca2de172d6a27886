"""Several persons of a session at once, and the order in which a roster shows them."""

import re
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.service import enrolments
from services.enrolment.service.acting import Acting
from services.enrolment.service.failures import NotFound
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, hidden, page_of, text_of
from tests.support.builders import a_question, an_agent, open_now

NAMES = [("Zoé", "Durand"), ("Loïc", "Le Goff"), ("Élise", "Évrard"), ("Yann", "Bernard")]


async def full(front: Front) -> tuple[SessionState, list[Agent]]:
    """A session of Bretagne with two seats, taken, and two who wait."""
    session = open_now(capacity=2, waiting_list="automatic")
    agents = [an_agent(given_name=given, family_name=family) for given, family in NAMES]
    await front.publish(session)
    await front.enrol(session, *agents)
    return session, agents


def names_in(page: str) -> list[str]:
    return re.findall(r'inscriptions/[0-9a-f-]{36}[^"]*">([^<]+)</a>', page)


async def choose(
    organiser: OrganiserClient, session: SessionState, ids: list[str], **fields: Any
) -> httpx.Response:
    key = hidden((await organiser.get(page_of(session))).text, "cle")
    return await organiser.post(page_of(session, "/choix"), data={"cle": key, "choix": ids, **fields})


async def ids_of(front: Front, session: SessionState, *agents: Agent) -> list[str]:
    return [str((await front.of(session, agent)).enrolment_id) for agent in agents]


async def test_a_roster_is_sorted_by_name_both_ways_a_page_at_a_time(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = await full(front)
    expected = ["Bernard Yann", "Durand Zoé", "Évrard Élise", "Le Goff Loïc"]
    page = (await organiser.get(page_of(session), params={"tri": "nom"})).text
    assert names_in(page) == expected
    assert 'aria-sort="ascending"' in page
    monkeypatch.setattr("services.enrolment.pages.manage.roster.PAGE", 3)
    turned = await organiser.get(page_of(session), params={"tri": "nom", "sens": "inverse"})
    assert names_in(turned.text) == expected[:0:-1]
    following = re.search(r'rel="next" href="([^"]+)"', turned.text)
    assert following
    rest = await organiser.get(following[1].replace("&amp;", "&"))
    assert names_in(rest.text) == expected[:1]


async def test_an_order_that_is_none_and_a_cursor_of_another_change_nothing(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    for query in ({"tri": "couleur"}, {"tri": "depuis", "apres": "bm9u"}, {"tri": "employeur"}):
        assert len(names_in((await organiser.get(page_of(session), params=query)).text)) == 4, query


async def test_a_whole_page_is_chosen_by_a_link(front: Front, organiser: OrganiserClient) -> None:
    session, _ = await full(front)
    assert (await organiser.get(page_of(session))).text.count(" checked>") == 0
    assert (await organiser.get(page_of(session), params={"tous": "oui"})).text.count(" checked>") == 4


async def test_all_who_are_found_are_chosen_by_a_button(front: Front, organiser: OrganiserClient) -> None:
    session, _ = await full(front)
    key = hidden((await organiser.get(page_of(session))).text, "cle")
    found = {"cle": key, "recherche": "durand"}
    page = (await organiser.post(page_of(session), data=found)).text
    assert f'name="tous" value="oui" formaction="{page_of(session)}"' in page
    assert page.count(" checked>") == 0
    chosen = (await organiser.post(page_of(session), data=found | {"tous": "oui"})).text
    assert names_in(chosen) == ["Durand Zoé"]
    assert chosen.count(" checked>") == 1


async def test_several_are_withdrawn_once_it_is_said_what_follows(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    ids = await ids_of(front, session, *agents[:3])
    page = await choose(organiser, session, ids, action="withdraw")
    shown = text_of(page)
    assert "3 personnes : inscription terminée" in shown
    assert "Places libérées : 2." in shown
    assert "1 personne en attente, au plus, recevra une place." in shown
    assert await front.states(session, *agents) == ["enrolled", "enrolled", "waitlisted", "waitlisted"]
    versions = {f"version-{each}": hidden(page.text, f"version-{each}") for each in ids}
    said = {"action": "withdraw", "confirmer": "oui", **versions}
    unsaid = await choose(organiser, session, ids, **said)
    assert "Dites qui l’a demandé." in text_of(unsaid, 422)
    await front.withdraw(session, agents[1])  # meanwhile: the third has the seat
    done = text_of(await choose(organiser, session, ids, by="agent", **said))
    assert "Fait pour 1 personne, pas fait pour 2 personnes." in done
    assert "Cette inscription a changé entre-temps" in done
    assert await front.states(session, *agents) == ["withdrawn", "withdrawn", "enrolled", "enrolled"]


async def test_who_is_gone_in_the_middle_does_not_hide_what_became_of_the_others(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents = await full(front)
    first, second = await ids_of(front, session, *agents[:2])
    page = await choose(organiser, session, [first, second], action="withdraw")
    versions = {f"version-{each}": hidden(page.text, f"version-{each}") for each in (first, second)}
    withdraw = enrolments.withdraw

    async def unless_gone(
        acting: Acting, enrolment_id: UUID, **withdrawal: Any
    ) -> tuple[RosterLine, SessionState]:
        if str(enrolment_id) == second:
            raise NotFound(f"enrolment {enrolment_id}")
        return await withdraw(acting, enrolment_id, **withdrawal)

    monkeypatch.setattr(enrolments, "withdraw", unless_gone)
    said = {"action": "withdraw", "confirmer": "oui", "by": "agent", **versions}
    done = text_of(await choose(organiser, session, [first, second], **said))
    assert "Fait pour 1 personne, pas fait pour 1 personne." in done
    assert await front.states(session, *agents[:2]) == ["withdrawn", "enrolled"]


async def test_a_choice_leads_back_to_the_list_as_it_was(front: Front, organiser: OrganiserClient) -> None:
    session, agents = await full(front)
    listed_by = "?etat=attente&tri=nom&sens=inverse"
    page = (await organiser.get(page_of(session) + listed_by)).text
    action = unescape(re.findall(r'<form id="liste" action="([^"]+)"', page)[0])
    assert action == page_of(session, "/choix") + listed_by
    form = {"cle": hidden(page, "cle"), "action": "withdraw"}
    refused = (await organiser.post(action, data=form)).text
    assert names_in(refused) == names_in(page) == ["Évrard Élise", "Bernard Yann"]
    assert unescape(re.findall(r'<form id="liste" action="([^"]+)"', refused)[0]) == action
    [waiting] = await ids_of(front, session, agents[2])
    confirmation = unescape((await organiser.post(action, data=form | {"choix": waiting})).text)
    assert f'href="{page_of(session)}{listed_by}">Ne rien changer' in confirmation
    assert f'action="{action}"' in confirmation
    found = await organiser.post(page_of(session), data=form | {"recherche": "durand"})
    refused = (await organiser.post(action, data=form | {"recherche": hidden(found.text, "recherche")})).text
    assert "pour «\u00a0durand\u00a0»" in refused
    asked = await organiser.post(action, data=form | {"recherche": "durand", "choix": waiting})
    (back,) = re.findall(r'<form id="trouvees".*?</form>', asked.text)
    assert hidden(back, "recherche") == "durand"
    assert 'form="trouvees">Ne rien changer' in asked.text


async def test_a_message_goes_to_those_who_are_chosen_alone(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents = await full(front)
    ids = await ids_of(front, session, *agents[1:3])
    page = await choose(organiser, session, ids, action="write")
    assert "À 2 personnes, choisies dans la liste." in text_of(page)
    form: dict[str, Any] = {"cle": hidden(page.text, "cle"), "texte": "Rendez-vous au 2e étage.", "pour": ids}
    form["audience"] = re.findall(r'name="audience" value="([^"]+)"', page.text)
    tried = await organiser.post(page_of(session, "/messages"), data=form)
    assert "à 2 personnes." in text_of(tried)
    assert re.findall(r'name="pour" value="([^"]+)"', tried.text) == ids * 2
    to_all = await organiser.post(page_of(session, "/messages"), data=form | {"toutes": "oui"})
    assert form["texte"] in to_all.text
    assert 'name="pour"' not in to_all.text
    assert to_all.text.count('type="checkbox"') == to_all.text.count(" checked>") == 4
    await organiser.post(page_of(session, "/messages"), data=form | {"envoyer": "oui"})
    [row] = await rows("SELECT enrolment_ids FROM message")
    assert row.enrolment_ids == ids


async def test_the_page_of_a_person_leads_to_a_message_to_them_alone(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    [chosen] = await ids_of(front, session, agents[0])
    page = (await organiser.get(f"{MANAGE}/inscriptions/{chosen}")).text
    (form,) = re.findall(rf'<form action="{page_of(session, "/choix")}".*?</form>', page)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]+)"', form))
    assert "À 1 personne, choisie dans la liste." in text_of(
        await organiser.post(page_of(session, "/choix"), data=fields)
    ).replace("\u00a0", " ")
    await front.withdraw(session, agents[0])
    assert page_of(session, "/choix") not in (await organiser.get(f"{MANAGE}/inscriptions/{chosen}")).text


async def test_who_chooses_nobody_or_somebody_of_another_session_changes_nothing(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    other, (stranger, *_) = await full(front)
    nobody = await choose(organiser, session, [], action="withdraw")
    assert "Choisissez au moins une personne." in text_of(nobody, 422)
    ids = await ids_of(front, other, stranger)
    said = {"action": "withdraw", "confirmer": "oui", "by": "agent", f"version-{ids[0]}": "1"}
    assert "Rien n’a été fait" in text_of(await choose(organiser, session, ids, **said))
    assert await front.states(other, stranger) == ["enrolled"]
    assert (await choose(organiser, session, ids, action="couronner")).status_code == 400
    assert (await choose(organiser, session, ["x"], action="withdraw")).status_code == 400


async def test_several_are_moved_to_another_session_as_long_as_it_has_seats(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    there = open_now(capacity=1, waiting_list="none", venue="Mairie, 22100 Dinan")
    asks = open_now(
        questions=[a_question("repas", "text", required=True)], venue="Mairie, 22000 Saint-Brieuc"
    )
    await front.publish(there, asks)
    ids = await ids_of(front, session, *agents[:3])
    page = await choose(organiser, session, ids, action="move")
    follows = text_of(page).replace("\u00a0", " ")
    assert "2 personnes : une place dans la nouvelle session tant qu’il y en a" in follows
    assert "2 personnes en attente, au plus, recevront une place." in follows
    assert "Elle n’a pas de place ici à échanger." in follows
    assert "Dinan, " in follows
    assert "(1 place libre)" in follows
    assert "Saint-Brieuc" not in follows  # it asks what they alone can answer
    versions = {f"version-{each}": hidden(page.text, f"version-{each}") for each in ids[:2]}
    move = {"action": "move", "confirmer": "oui", **versions}
    nowhere = await choose(organiser, session, ids[:2], **move)
    assert "Choisissez une session." in text_of(nowhere, 422)
    done = await choose(organiser, session, ids[:2], **move, to_session_id=str(there.session_id))
    said = text_of(done).replace("\u00a0", " ")
    assert "Fait pour 1 personne, pas fait pour 1 personne." in said
    assert await front.states(session, *agents) == ["withdrawn", "enrolled", "enrolled", "waitlisted"]
    assert await front.states(there, agents[0]) == ["enrolled"]
    assert f'href="{page_of(there)}">Voir la nouvelle session</a>' in done.text
