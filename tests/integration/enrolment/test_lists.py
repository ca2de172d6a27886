"""Lists that an organiser enrols at once: tried, then enrolled by the rules of requests by hand (rule 25)."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Employer
from shared.web import workbooks
from tests.integration.enrolment.conftest import Front, SelectRows, ToApplication
from tests.integration.enrolment.manage import OrganiserClient, hidden, log_in, page_of, send, text_of
from tests.integration.enrolment.organising import published_events
from tests.support.builders import a_question, an_agent
from tests.support.state_register import StateRegister, state_register

HEADING = "Courriel\tPrénom\tNom\tFonction\tEmployeur\tSIRET\tDélégation"


def listed(*names: str) -> str:
    """A list as a browser sends what was copied from a spreadsheet."""
    rows = [
        f"{name}@ville-exemple.fr\t{name}\tRiou\tagent\tVille de Rennes\t213 502 388 00019\tbretagne"
        for name in names
    ]
    return "\n".join([HEADING, *rows])


async def send_list(
    organiser: OrganiserClient, session: SessionState, text: str, action: str = "verifier", **fields: str
) -> httpx.Response:
    return await send(organiser, page_of(session, "/liste"), liste=text, action=action, **fields)


async def people(rows: SelectRows) -> list[tuple[str, str]]:
    found = await rows("SELECT agent ->> 'given_name', state FROM enrolment ORDER BY received_at, ticket, 1")
    return [tuple(row) for row in found]


async def test_a_list_is_tried_then_enrolled_in_its_order_and_changes_nothing_again(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await front.open(capacity=2, waiting_list="automatic")
    text = listed("Zoé", "Anne", "Loïc")
    tried = await send_list(organiser, session, text)
    shown = text_of(tried)
    assert "Rien n’est encore enregistré. Une place : 2 Liste d’attente : 1" in shown
    assert "1re de la liste" in shown
    assert "Inscrire 3 personnes" in shown
    assert await people(rows) == []
    kept = tried.text.partition('name="liste"')[2].partition(">")[2].partition("</textarea>")[0].strip()
    done = await send_list(organiser, session, kept, "tout")
    assert "C’est enregistré. Une place : 2" in text_of(done)
    enrolled = [("Zoé", "enrolled"), ("Anne", "enrolled"), ("Loïc", "waitlisted")]
    assert sorted(await people(rows)) == sorted(enrolled)
    for action in ("tout", "possible"):
        assert "ou l’ayant quittée : 3" in text_of(await send_list(organiser, session, kept, action))
    assert len(await people(rows)) == 3
    assert await rows("SELECT count(*), count(DISTINCT agent_id) FROM request") == [(3, 3)]


async def test_a_refused_row_holds_back_a_whole_list_and_no_other_row(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await front.open(capacity=1, waiting_list="none")
    text = listed("Zoé", "Anne")
    assert "Refus, sans courriel : 1" in text_of(await send_list(organiser, session, text))
    assert "Rien n’est encore enregistré." in text_of(await send_list(organiser, session, text, "tout"))
    assert await people(rows) == []
    assert "C’est enregistré. Une place : 1" in text_of(await send_list(organiser, session, text, "possible"))
    assert await people(rows) == [("Zoé", "enrolled")]
    assert await published_events(rows, "EnrolmentRefused") == []


async def test_who_came_by_a_portal_or_left_is_not_enrolled_by_a_list(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    by_portal = an_agent(given_name="Zoé", family_name="Riou", email="zoé@ville-exemple.fr")
    session = await front.open(by_portal)
    await send_list(organiser, session, listed("Anne"), "tout")
    await rows("UPDATE enrolment SET state = 'withdrawn' WHERE agent ->> 'given_name' = 'Anne' RETURNING 1")
    before = await people(rows)
    shown = text_of(await send_list(organiser, session, listed("Zoé", "Anne"), "tout"))
    assert "Déjà dans la session" in shown
    assert "A quitté la session" in shown
    assert await people(rows) == before


async def test_a_workbook_is_read_and_stays_in_the_form(front: Front, organiser: OrganiserClient) -> None:
    session = await front.open()
    path = page_of(session, "/liste")
    sheet = workbooks.of_csv(listed("Zoé").replace("\t", ";").encode())
    form = {"cle": hidden((await organiser.get(path)).text, "cle")}
    tried = await organiser.post(path, data=form, files={"fichier": ("a.xlsx", sheet)})
    assert "Une place : 1" in text_of(tried)
    assert "ville-exemple.fr;Zoé;Riou;agent;" in tried.text


async def test_a_small_workbook_of_long_texts_makes_no_large_page(
    front: Front, organiser: OrganiserClient
) -> None:
    path = page_of(await front.open(), "/liste")
    row = ";".join(["&" * 30_000] * 3)
    sheet = workbooks.of_csv("\n".join(["Courriel;Prénom;Nom", *[row] * 10]).encode())
    form = {"cle": hidden((await organiser.get(path)).text, "cle")}
    refused = await organiser.post(path, data=form, files={"fichier": ("a.xlsx", sheet)})
    assert "500 personnes au plus à la fois" in text_of(refused, 422)
    assert max(len(sheet), len(refused.content)) < 20_000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Collez la liste, ou choisissez un fichier."),
        ("Nom;Prénom\nRiou;Anne", "Courriel : Cette colonne manque."),
        ("\n".join([HEADING, *["\t".join("abcdefg")] * 501]), "500 personnes au plus à la fois"),
        ("PK\x03\x04", "un classeur qui ne peut pas être lu"),
    ],
)
async def test_a_list_that_cannot_be_read_says_why(
    front: Front, organiser: OrganiserClient, text: str, sentence: str
) -> None:
    session = await front.open()
    assert sentence in text_of(await send_list(organiser, session, text), 422)


async def test_a_row_to_correct_is_named_and_the_others_can_be_enrolled(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await front.open()
    text = listed("Zoé", "Anne").replace("Anne@ville-exemple.fr", "nowhere")
    shown = text_of(await send_list(organiser, session, text, "tout"))
    assert "Ligne 3, Courriel « nowhere » : Ce contenu n’est pas accepté." in shown
    assert "Inscrire 1 personne Revenir sans inscrire Les autres lignes ne changent rien." in shown
    assert await people(rows) == []


async def test_an_employers_agreement_goes_with_the_list(front: Front, organiser: OrganiserClient) -> None:
    session = await front.open(approval="employer")
    assert "Attend l’accord de l’employeur : 1" in text_of(await send_list(organiser, session, listed("Zoé")))
    agreed = await send_list(organiser, session, listed("Zoé"), approved="oui")
    assert "Une place : 1" in text_of(agreed)


async def test_nobody_is_enrolled_by_a_list_without_answers_to_required_questions(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await front.open(questions=[a_question(required=True)])
    shown = text_of(await send_list(organiser, session, listed("Zoé"), "possible"))
    assert "Refus, sans courriel : 1" in shown
    assert await people(rows) == []


async def test_answers_of_a_list_are_kept_as_those_of_a_request(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await front.open(questions=[a_question(required=True)])
    heading, row = listed("Zoé").split("\n")
    text = f"{heading}\t{session.questions[0].label}\n{row}\t"
    assert "(oui ou non, obligatoire)" in text_of(await organiser.get(page_of(session, "/liste")))
    shown = text_of(await send_list(organiser, session, f"{text}plus tard", "tout"))
    assert f"Ligne 2, {session.questions[0].label} « plus tard » : Choisissez oui ou non." in shown
    await send_list(organiser, session, f"{text}oui", "tout")
    assert await rows("SELECT question, value FROM question_answer") == [(session.questions[0].label, True)]


async def test_an_employer_is_known_from_any_session_and_called_as_in_the_own_ones(
    front: Front, organiser: OrganiserClient
) -> None:
    session, siret = await front.open(), "26350999400012"
    text = "Nom\tPrénom\tMail\tFonction\tCollectivité\nRiou\tAnne\ta@x.fr\tagent\t"
    twice = f"{text}régie du port\nRiou\tZoé\tz@x.fr\tagent\trégie du port"
    unknown = text_of(await send_list(organiser, session, twice))
    assert "Lignes 2 et 3, Employeur « régie du port » : Cet employeur n’est pas connu ici" in unknown
    for by, name in (("normandie", "Régie du port"), ("bretagne", "Port, régie")):
        employer = Employer(siret=siret, name=name, delegation="bretagne")
        await front.open(an_agent(employer=employer), organiser=by)
        for typed in (name, siret):
            shown = text_of(await send_list(organiser, session, text + typed))
            assert f"{name} SIRET {siret} Agente ou agent Une place" in shown


async def test_a_commune_is_an_employer_of_which_nobody_spoke(
    front: Front, organiser: OrganiserClient
) -> None:
    session = await front.open()
    text = "Nom\tPrénom\tMail\tFonction\tCollectivité\nRiou\tAnne\ta@x.fr\tagent\tmairie de quimper"
    shown = text_of(await send_list(organiser, session, text))
    assert "Commune de Quimper SIRET 21290232400012 Agente ou agent Une place" in shown


@pytest.fixture
async def searching(application: ToApplication) -> AsyncIterator[tuple[OrganiserClient, StateRegister]]:
    """An organiser where operators allow the State's search, and the search."""
    with state_register() as register:
        transport = httpx.ASGITransport(app=application(employer_search_url=register.url))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8001") as browser:
            await log_in(browser)
            yield browser, register


async def test_an_employer_that_only_the_state_knows_is_found_by_siret_in_a_list(
    front: Front, searching: tuple[OrganiserClient, StateRegister]
) -> None:
    (organiser, register), session = searching, await front.open()
    rows = [f"Riou\t{name}\t{name}@x.fr\tagent\t26350999400012" for name in ("Anne", "Zoé")]
    text = "\n".join(["Nom\tPrénom\tMail\tFonction\tCollectivité", *rows])
    shown = text_of(await send_list(organiser, session, text))
    assert shown.count("REGIE DU PORT DE SAINT-MALO SIRET 26350999400012 Agente ou agent Une place") == 2
    assert [asked["q"] for asked in register.asked] == ["26350999400012"]


async def test_an_employer_that_only_the_state_knows_is_chosen_from_those_with_the_name(
    front: Front, searching: tuple[OrganiserClient, StateRegister], rows: SelectRows
) -> None:
    (organiser, register), session = searching, await front.open()
    anne = {"given_name": "Anne", "family_name": "Riou", "email": "a@x.fr", "function": "agent"}
    typed = {**anne, "employer": "régie du port"}
    asked = await send(organiser, page_of(session, "/ajout"), **typed)
    assert "REGIE DU PORT DE SAINT-MALO (26350999400012)" in text_of(asked, 422)
    done = await send(organiser, page_of(session, "/ajout"), **typed, known="26350999400012")
    assert done.status_code == 303
    assert await rows("SELECT agent -> 'employer' ->> 'siret' FROM enrolment") == [("26350999400012",)]
    assert len(register.asked) == 1
