"""What authorities ask of a delegation, answered by its pages."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from shared.database import Database
from shared.events.catalogue import BespokeRequestAnswered, SessionScheduled
from shared.references import reference_of
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    a_form,
    error_of,
    log_in,
    organiser,
    send,
    unseen_fields,
)
from tests.integration.catalogue.conftest import ADMIN, EventsOf, in_days
from tests.integration.catalogue.test_bespoke import a_bespoke_request, hear

__all__ = ["organiser"]

ADVISOR = {"advisor_name": "Paul Petit", "advisor_email": "paul.petit@delegation.example"}
DECLINED = ADVISOR | {"answer": "declined", "message": "Faute de formateur."}


async def test_a_delegation_answers_an_authority_by_forms(
    organiser: HttpBrowser, a_bespoke_offer: str, database: Database, events_of: EventsOf
) -> None:
    request_id = await hear(database, a_bespoke_request(authority="Ville <b>de</b> Rennes"))
    path = f"/gestion/demandes/{request_id}"
    assert path in (await organiser.get("/gestion/demandes")).text
    page = (await organiser.get(path)).text
    assert "Ville &lt;b&gt;de&lt;/b&gt; Rennes" in page
    assert "Plutôt au printemps." in page
    unanswered = await send(organiser, path, **ADVISOR)
    assert unanswered.status_code == 422
    assert "<li>Choisissez une réponse.</li>" in unanswered.text
    wrong = await send(organiser, path, answer="proposed", advisor_name="Paul Petit", advisor_email="paul")
    assert error_of(wrong, "advisor_email").startswith("Indiquez une adresse électronique")
    done = await send(organiser, path, answer="proposed", message="Une journée en mars.", **ADVISOR)
    assert done.headers["location"] == f"{path}?fait=oui"

    empty = await send(organiser, path, answer="agreed", **ADVISOR)
    assert error_of(empty, "starts_at") == "Ce champ est obligatoire."
    dates = {name: a_form("")[name] for name in ("starts_at", "ends_at")}
    session = {"offer_id": a_bespoke_offer, "capacity": "15"} | dates
    nowhere = await send(organiser, path, answer="agreed", **ADVISOR, **session)
    assert error_of(nowhere, "venue").startswith("Indiquez un lieu")
    assert (
        await send(organiser, path, answer="agreed", venue="Rennes", **ADVISOR, **session)
    ).status_code == 303

    answered = [event for event in await events_of() if isinstance(event, BespokeRequestAnswered)]
    assert [event.answer for event in answered] == ["proposed", "agreed"]
    (scheduled,) = [event for event in await events_of() if isinstance(event, SessionScheduled)]
    assert (scheduled.capacity, scheduled.audience.sirets) == (15, ("21350238800019",))
    for page in ((await organiser.get(path)).text, (await organiser.get("/gestion/demandes")).text):
        assert f"/gestion/sessions/{scheduled.session_id}" in page
        assert "0\u00a0inscription sur 15\u00a0places." in page
        assert "La collectivité désigne ses stagiaires jusqu’au" in page
    assert "Envoyer la réponse" not in (await organiser.get(path)).text


async def test_an_agreement_is_in_the_hours_of_the_session_and_may_say_when_its_list_closes(
    organiser: HttpBrowser, a_bespoke_offer: str, database: Database, events_of: EventsOf
) -> None:
    path = f"/gestion/demandes/{await hear(database, a_bespoke_request())}"
    await send(organiser, path, answer="proposed", message="Une journée.", **ADVISOR)
    assert '<option value="Europe/Paris" selected>' in (await organiser.get(path)).text
    assert 'value="paul.petit@delegation.example"' in (await organiser.get(path)).text
    day = in_days(40).date()
    session = ADVISOR | {
        "answer": "agreed",
        "offer_id": a_bespoke_offer,
        "timezone": "Indian/Reunion",
        "starts_at": f"{day}T09:00",
        "ends_at": f"{day}T17:00",
        "enrolment_closes_at": f"{day - timedelta(days=3)}T12:00",
        "venue": "Saint-Denis",
    }
    assert (await send(organiser, path, **session)).status_code == 303
    (scheduled,) = [event for event in await events_of() if isinstance(event, SessionScheduled)]
    assert scheduled.timezone == "Indian/Reunion"
    assert scheduled.starts_at.isoformat() == f"{day}T05:00:00+00:00"
    assert scheduled.enrolment_closes_at.isoformat() == f"{day - timedelta(days=3)}T08:00:00+00:00"


async def test_the_board_has_who_waits_longest_first_and_leads_to_all_of_a_state(
    organiser: HttpBrowser, database: Database
) -> None:
    for number in range(21):
        await hear(database, a_bespoke_request(authority=f"Ville {number:02}"))
    received = _columns((await organiser.get("/gestion/demandes")).text)[0]
    assert re.findall(r"Ville \d\d", received)[0] == "Ville 00"
    assert received.count('<li class="card">') == 20
    assert "(21)" in received
    everything = await organiser.get("/gestion/demandes/liste?etat=received")
    assert len(set(re.findall(r"Ville \d\d", everything.text))) == 21
    assert "Aucune demande" in (await organiser.get("/gestion/demandes/liste?etat=agreed")).text
    assert "Ville 07" in (await organiser.get("/gestion/demandes/liste?etat=rien")).text


def _columns(page: str) -> list[str]:
    return re.findall(r"<section.*?</section>", page, re.DOTALL)


@pytest.mark.parametrize("answer", ["qualified", "declined"])
async def test_what_was_typed_for_an_answer_that_was_given_meanwhile_is_sent_as_no_other(
    organiser: HttpBrowser, a_bespoke_offer: str, database: Database, answer: str
) -> None:
    path = f"/gestion/demandes/{await hear(database, a_bespoke_request())}"
    page = (await organiser.get(path)).text
    assert (await send(organiser, path, **DECLINED | {"answer": answer})).status_code == 303
    typed = {"answer": answer, "message": "Nous revenons vers vous."} | ADVISOR
    stale = await organiser.post(path, data=unseen_fields(page) | typed)
    assert stale.status_code == 412
    assert 'name="answer"' not in stale.text
    assert "Nous revenons vers vous.</textarea>" in stale.text
    assert ("?reponse=proposed" in stale.text) is (answer == "qualified")


async def test_a_refusal_says_why(
    organiser: HttpBrowser, a_bespoke_offer: str, database: Database, events_of: EventsOf
) -> None:
    path = f"/gestion/demandes/{await hear(database, a_bespoke_request())}"
    unsaid = await send(organiser, path, **DECLINED | {"message": " "})
    assert error_of(unsaid, "message") == "Ce champ est obligatoire."
    assert not [event for event in await events_of() if isinstance(event, BespokeRequestAnswered)]


async def test_a_request_is_handed_over_to_somebody_else_whom_the_next_answer_names(
    organiser: HttpBrowser, a_bespoke_offer: str, database: Database, events_of: EventsOf
) -> None:
    path = f"/gestion/demandes/{await hear(database, a_bespoke_request())}"
    assert "La demande est confiée" not in (await organiser.get(f"{path}?fait=confiee")).text
    await send(organiser, path, answer="qualified", message="Bien reçu.", **ADVISOR)
    seen = (await organiser.get(path)).text
    confided = f"{path}/confier"
    assert confided in seen
    new = {"advisor_name": "Léa Martin", "advisor_email": "lea.martin@delegation.example"}
    wrong = await send(organiser, confided, **new | {"advisor_email": "lea"})
    assert error_of(wrong, "advisor_email").startswith("Indiquez une adresse électronique")
    assert (await send(organiser, confided, **new)).headers["location"] == f"{path}?fait=confiee"
    page = (await organiser.get(f"{path}?fait=confiee")).text
    assert "La demande est confiée à Léa Martin." in page
    assert 'value="lea.martin@delegation.example"' in page
    assert "Confiée à une autre personne" in _history(page)[0]
    assert len([event for event in await events_of() if isinstance(event, BespokeRequestAnswered)]) == 1
    late = await organiser.post(path, data=unseen_fields(seen) | {"answer": "proposed"} | ADVISOR)
    assert late.status_code == 412, "who answers sees first that it is somebody else's"
    late = await organiser.post(confided, data=unseen_fields(seen) | ADVISOR)
    assert late.status_code == 412
    await send(organiser, path, **DECLINED | new)
    assert (await organiser.get(confided)).text.count("Confier la demande</button>") == 0


async def test_an_answer_that_the_version_before_wrote_is_shown_beside_those_of_the_history(
    organiser: HttpBrowser, a_bespoke_offer: str, database: Database
) -> None:
    path = f"/gestion/demandes/{await hear(database, a_bespoke_request())}"
    await send(organiser, path, answer="qualified", message="Bien reçu.", **ADVISOR)
    assert (await organiser.get(path)).text.count("Bien reçu.") == 1
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE bespoke_request SET answer = 'Voici une date.'"))
    page = (await organiser.get(path)).text
    assert "Voici une date." in page
    assert "Bien reçu." in page


def _history(page: str) -> list[str]:
    (history,) = re.findall(r'<ol class="timeline">.*?</ol>', page, re.DOTALL)
    return re.findall(r"<li.*?</li>", history, re.DOTALL)


@pytest.mark.parametrize("sought", ["metropole", "2435 0013 900189", "reference"])
async def test_a_request_is_found_by_its_authority_its_siret_and_the_reference_of_its_letters(
    organiser: HttpBrowser, database: Database, sought: str
) -> None:
    asked = await hear(database, a_bespoke_request(authority="Rennes Métropole", siret="24350013900189"))
    other = await hear(database, a_bespoke_request())
    typed = reference_of(asked).lower() if sought == "reference" else sought
    page = (await organiser.get("/gestion/demandes/liste", params={"recherche": typed})).text
    assert (str(asked) in page, str(other) in page) == (True, False)
    assert (
        f'href="/gestion/demandes/liste?{urlencode({"etat": "proposed", "recherche": typed})}"'
        in unescape(page)
    )
    nothing = await organiser.get("/gestion/demandes/liste?recherche=Brest")
    assert "Aucune demande ne correspond à cette recherche." in nothing.text


async def test_who_acts_for_all_looks_for_the_requests_of_a_delegation(
    visit: HttpBrowser, database: Database
) -> None:
    await log_in(visit, ADMIN)
    here = await hear(database, a_bespoke_request())
    there = await hear(database, a_bespoke_request(delegation="corse"))
    page = (await visit.get("/gestion/demandes/liste?delegation=corse")).text
    assert (str(there) in page, str(here) in page) == (True, False)
