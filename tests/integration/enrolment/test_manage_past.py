"""The history of a person: who did what, why, from which session to which; and notes that were taken away."""

from services.enrolment.rules.policy import Policy
from services.enrolment.service import links
from services.enrolment.service.links import AgentLink
from shared import clock
from shared.database import Database
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import (
    MANAGE,
    PERSON,
    OrganiserClient,
    full,
    hidden,
    log_in,
    page_of,
    person_page,
    send,
    text_of,
)
from tests.integration.enrolment.organising import CORSE
from tests.support.builders import open_now


async def test_who_was_added_by_hand_has_in_their_history_who_did_it_and_why_above_capacity(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    done = await send(organiser, page_of(session, "/ajout"), **PERSON, above_capacity="Intervenante")
    page = text_of(await organiser.get(done.headers["location"])).replace("\u00a0", " ")
    assert "Ajout à la main : inscription confirmée" in page
    assert "advisor-bretagne : Intervenante" in page
    assert "Demande reçue" not in page


async def test_a_move_says_from_which_session_to_which_and_who_moved(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front, venue="Mairie, 29000 Quimper")
    there = open_now(venue="Quartz, 29200 Brest")
    await front.publish(there)
    path = await person_page(front, session, agents[0])
    await send(organiser, path, f"{path}/deplacement", to_session_id=str(there.session_id))
    for past in (path, page_of(session, "/historique")):
        page = text_of(await organiser.get(past))
        assert "Changement pour Brest, " in page, past
        assert "advisor-bretagne" in page, past
    arrived = text_of(await organiser.get(await person_page(front, there, agents[0])))
    assert "Changement depuis Quimper, " in arrived
    assert "· advisor-bretagne" in arrived


async def test_the_reason_of_a_withdrawal_is_in_the_history_of_who_was_withdrawn_alone(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    path = await person_page(front, session, agents[0])
    await send(organiser, path, f"{path}/desistement", by="agent", reason="Souffrante")
    page = text_of(await organiser.get(path)).replace("\u00a0", " ")
    assert "advisor-bretagne : Souffrante" in page
    assert "Souffrante" not in text_of(await organiser.get(await person_page(front, session, agents[2])))


async def test_what_a_link_did_after_a_correction_says_in_the_history_who_corrected_the_address(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    session, (agent, *_) = await full(front)
    path = await person_page(front, session, agent)
    names = {"given_name": agent.given_name, "family_name": agent.family_name}
    seen = {f"avant-{name}": value for name, value in {**names, "email": agent.email}.items()}
    right = {**seen, **names, "email": "autre@exemple.fr"}
    assert (await send(organiser, path, f"{path}/correction", **right)).status_code == 303
    link = AgentLink((await front.of(session, agent)).enrolment_id, lambda _address: True)
    async with database.transaction() as tx:
        await links.withdraw(tx, link, Policy(), clock.now())
    for past in (path, page_of(session, "/historique")):
        page = text_of(await organiser.get(past)).replace("\u00a0", " ")
        assert "par un lien envoyé à l’adresse que advisor-bretagne a corrigée le " in page, past


async def test_a_note_is_taken_away_with_its_text_and_the_history_says_by_whom(
    front: Front, organiser: OrganiserClient, visitor: OrganiserClient, rows: SelectRows
) -> None:
    session, (agent, other, *_) = await full(front)
    path = await person_page(front, session, agent)
    await send(organiser, path, f"{path}/note", note="06 12 34 56 78")
    which = hidden((await organiser.get(path)).text, "laquelle")
    elsewhere = await person_page(front, session, other)
    await send(organiser, path, f"{elsewhere}/note/retrait", laquelle=which)
    assert "06 12 34 56 78" in text_of(await organiser.get(path))
    done = await send(organiser, path, f"{path}/note/retrait", laquelle=which)
    assert done.headers["location"] == f"{path}?fait=note-retiree"
    page = text_of(await organiser.get(path)).replace("\u00a0", " ")
    assert "06 12" not in page
    assert "Note retirée" in page
    assert "advisor-bretagne ; écrite par advisor-bretagne le" in page
    assert "1 note" not in text_of(await organiser.get(page_of(session)))
    assert [tuple(row) for row in await rows("SELECT text, removed_by FROM note")] == [
        ("", "advisor-bretagne")
    ]
    for _ in range(2):  # written again, and sent twice
        await send(organiser, path, f"{path}/note", note="06 12 34 56 78")
    page = text_of(await organiser.get(path)).replace("\u00a0", " ")
    assert page.count("06 12 34 56 78") == 1
    assert "advisor-bretagne ; écrite par advisor-bretagne le" in page
    await log_in(visitor, CORSE)
    key = hidden((await visitor.get(MANAGE)).text, "cle")
    answer = await visitor.post(f"{path}/note/retrait", data={"cle": key, "laquelle": which})
    assert answer.status_code == 404
