"""Who is enrolled by an organiser, at a desk or at the door."""

import re
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from services.enrolment.service import people
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import (
    MANAGE,
    PERSON,
    OrganiserClient,
    from_now,
    full,
    page_of,
    person_page,
    send,
    text_of,
)
from tests.integration.enrolment.organising import MODULES
from tests.support.builders import a_question, an_agent, open_now


async def test_somebody_is_enrolled_by_hand_or_waits_by_the_rules(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    path = page_of(session, "/ajout")
    done = await send(organiser, path, **PERSON)
    assert done.status_code == 303, done.text
    assert re.fullmatch(rf"{MANAGE}/inscriptions/[0-9a-f-]+\?fait=ajoutee-attente", done.headers["location"])
    added = await organiser.get(done.headers["location"])
    assert "La personne est ajoutée à la liste d’attente" in text_of(added)
    assert f'href="{path}">Ajouter une autre personne</a>' in added.text
    assert "3e de la liste" in text_of(added)
    again = await send(organiser, path, **PERSON)
    assert "Les règles de la session ne le permettent pas" in text_of(again, 422)


async def test_an_employer_who_is_in_the_session_already_is_chosen_not_typed(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents = await full(front)
    path, employer = page_of(session, "/ajout"), agents[0].employer
    assert (await organiser.get(path)).text.count(f'<option value="{employer.siret}">') == 1
    person = {
        name: typed for name, typed in PERSON.items() if name not in ("employer", "siret", "delegation")
    }
    assert text_of(await send(organiser, path, **person), 422).count("Ce champ est obligatoire.") > 0
    assert (await send(organiser, path, **person, known="21350238800099")).status_code == 422
    done = await send(organiser, path, **person, known=employer.siret)
    assert f"{employer.name} ({employer.siret})" in text_of(await organiser.get(done.headers["location"]))


async def test_who_walks_in_is_enrolled_from_the_door_and_there_again_has_arrived(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = open_now(capacity=1, waiting_list="automatic", modules=MODULES)
    await front.publish(session)
    door = page_of(session, "/pointage?seance=2")
    (path,) = {*re.findall(r'href="([^"]+/ajout[^"]*)"', unescape((await organiser.get(door)).text))}
    form = (await organiser.get(path)).text
    assert f'action="{path}"' in form
    assert f'href="{door}">Revenir sans ajouter' in form
    assert (await send(organiser, path, **PERSON | {"siret": "1"})).text.count(f'action="{path}"') == 1
    done = await send(organiser, path, **PERSON)
    [noted] = await rows("SELECT enrolment_id, module, author FROM arrival")
    assert (noted.module, noted.author) == (1, "advisor-bretagne")
    led_to = f"{door}&fait=pointee-{noted.enrolment_id}#p-{noted.enrolment_id}"
    assert done.headers["location"] == led_to
    assert "Riou Anne est là." in text_of(await organiser.get(done.headers["location"]))
    late = await send(organiser, path, **PERSON | {"email": "lea@ville-exemple.fr", "given_name": "Léa"})
    assert late.headers["location"] == f"{door}&fait=sans-place"
    assert "elle n’a pas de place : elle n’est pas pointée" in text_of(
        await organiser.get(door + "&fait=sans-place")
    ).replace("\u00a0", " ")
    assert len(await rows("SELECT 1 FROM arrival")) == 1


async def test_who_was_withdrawn_by_mistake_is_enrolled_again_as_the_same_agent_with_nothing_to_type(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_now(capacity=5)
    agent = an_agent(issuer="portail-bretagne", given_name="Zoé", family_name="Durand")
    await front.publish(session)
    await front.enrol(session, agent)
    path = await person_page(front, session, agent)
    assert "Inscrire de nouveau" not in text_of(await organiser.get(path))
    await send(organiser, path, f"{path}/desistement", by="agent")
    (form,) = re.findall(r'href="([^"]+/ajout\?depuis=[^"]+)"', (await organiser.get(path)).text)
    page = (await organiser.get(form)).text
    filled = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
    chosen = r'<select[^>]* name="(\w+)".*?<option value="([^"]*)" selected'
    filled |= dict(re.findall(chosen, page, re.DOTALL))
    assert filled["email"] == agent.email
    filled |= {name: filled[name].upper() for name in ("given_name", "family_name")}
    done = await organiser.post(form, data={name: unescape(value) for name, value in filled.items()})
    assert done.status_code == 303, text_of(done, done.status_code)
    assert await front.states(session, agent) == ["enrolled"]
    with monkeypatch.context() as listed:
        listed.setattr(people, "ELSEWHERE", 0)  # as where later sessions fill the list
        assert "Inscrire de nouveau" not in text_of(await organiser.get(path))
    again = text_of(await organiser.get(done.headers["location"]))
    assert "Ajout à la main" in again
    assert "Ses autres inscriptions" in again


async def test_who_is_not_the_same_person_gets_no_identifier_of_another(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents = await full(front)
    which = (await front.of(session, agents[3])).enrolment_id
    await send(organiser, page_of(session, f"/ajout?depuis={which}"), **PERSON)
    [row] = await rows("SELECT issuer FROM enrolment WHERE agent ->> 'family_name' = 'Riou'")
    assert row.issuer == "cnfpt"
    assert (await organiser.get(page_of(session, f"/ajout?depuis={uuid4()}"))).status_code == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "bespoke"}, "La collectivité nomme les stagiaires, de son portail, jusqu’au"),
        ({"enrolment_opens_at": from_now(days=5)}, "Les inscriptions ouvrent le"),
        (
            {
                "enrolment_closes_at": from_now(days=-5),
                "starts_at": from_now(days=-2),
                "ends_at": from_now(days=-1),
            },
            "La session est terminée.",
        ),
        ({"status": "cancelled"}, "La session est annulée."),
    ],
)
async def test_where_nobody_can_be_added_no_page_offers_it_and_the_form_says_why(
    front: Front, organiser: OrganiserClient, changes: dict[str, Any], said: str
) -> None:
    session, open_to_all = open_now(**changes), open_now()
    await front.publish(session, open_to_all)
    for page in ("", "/groupes", "/pointage"):
        assert page_of(open_to_all, "/ajout") in (await organiser.get(page_of(open_to_all, page))).text
        assert page_of(session, "/ajout") not in (await organiser.get(page_of(session, page))).text, page
    path = page_of(session, "/ajout")
    form = await organiser.get(path)
    assert said in text_of(form).replace("\u00a0", " ")
    assert 'name="email"' not in form.text
    refused = await send(organiser, page_of(session), path, **PERSON)
    assert "Les règles de la session ne le permettent pas" in text_of(refused, 422)


async def test_somebody_gets_a_seat_above_capacity_with_a_reason(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    done = await send(organiser, page_of(session, "/ajout"), **PERSON, above_capacity="Intervenante")
    page = text_of(await organiser.get(done.headers["location"]))
    assert "Inscription confirmée" in page
    assert "Intervenante" in page


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("email", "anne", "Indiquez une adresse électronique."),
        ("email", "", "Ce champ est obligatoire."),
        ("siret", "12345678901234", "Ce n’est pas un SIRET"),
        ("function", "roi", "Choisissez une fonction."),
        ("family_name", "", "Ce champ est obligatoire."),
        ("family_name", "a" * 500, "Ce texte est trop long"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_nobody_is_enrolled(
    *, front: Front, organiser: OrganiserClient, rows: SelectRows, field: str, typed: str, said: str
) -> None:
    session = open_now()
    await front.publish(session)
    answer = await send(organiser, page_of(session, "/ajout"), **PERSON | {field: typed})
    assert answer.status_code == 422
    assert re.search(rf'id="{field}-erreur">{said}', answer.text)
    assert 'value="Anne"' in answer.text
    assert await rows("SELECT 1 FROM enrolment") == []


async def test_the_questions_of_a_session_are_asked(front: Front, organiser: OrganiserClient) -> None:
    session = open_now(questions=[a_question("repas", "choice", required=True)])
    await front.publish(session)
    path = page_of(session, "/ajout")
    assert "Répondez à cette question." in text_of(await send(organiser, path, **PERSON), 422)
    done = await send(organiser, path, **PERSON, **{"question-repas": "végétarien"})
    assert "végétarien" in text_of(await organiser.get(done.headers["location"]))
