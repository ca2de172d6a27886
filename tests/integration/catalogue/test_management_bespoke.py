"""Requests of authorities to a delegation, answered by its pages."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import text

from shared.database import Database
from shared.events.catalogue import BespokeRequestAnswered, SessionScheduled
from shared.references import reference_of
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    log_in,
    organiser,
    send,
    unseen_fields,
    wrong_fields,
)
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, EventsOf, in_days, shown
from tests.integration.catalogue.test_bespoke import ADVISOR, a_bespoke_request, hear

__all__ = ["organiser"]

BY_PAUL = {f"advisor_{name}": value for name, value in ADVISOR.items()}
BY_LEA = {"advisor_name": "Léa Martin", "advisor_email": "lea.martin@delegation.example"}
DECLINED = BY_PAUL | {"answer": "declined", "message": "Faute de formateur."}


@pytest.fixture
async def path(a_bespoke_offer: str, database: Database) -> str:
    """The page of a request to Bretagne."""
    return f"/gestion/demandes/{await hear(database, a_bespoke_request(authority='Ville <b>de</b> Rennes'))}"


async def test_a_request_is_agreed_to_by_forms_in_the_hours_of_the_session(
    organiser: HttpBrowser, path: str, a_bespoke_offer: str, events_of: EventsOf
) -> None:
    assert path in (await organiser.get("/gestion/demandes")).text
    assert "Ville &lt;b&gt;de&lt;/b&gt; Rennes" in (await organiser.get(path)).text
    proposed = await send(organiser, path, answer="proposed", message="Une journée en mars.", **BY_PAUL)
    assert proposed.headers["location"] == f"{path}?fait=oui"
    day = in_days(40).date()
    session = BY_PAUL | {
        "answer": "agreed",
        "offer_id": a_bespoke_offer,
        "timezone": "Indian/Reunion",
        "starts_at": f"{day}T09:00",
        "ends_at": f"{day}T17:00",
        "enrolment_closes_at": f"{day - timedelta(days=3)}T12:00",
        "venue": "Saint-Denis",
        "capacity": "15",
    }
    for field in ("starts_at", "venue"):
        assert wrong_fields(await send(organiser, path, **session | {field: ""})) == [field]
    assert (await send(organiser, path, **session)).status_code == 303

    events = await events_of()
    answers = [event.answer for event in events if isinstance(event, BespokeRequestAnswered)]
    assert answers == ["proposed", "agreed"]
    (scheduled,) = [event for event in events if isinstance(event, SessionScheduled)]
    assert (scheduled.capacity, scheduled.audience.sirets) == (15, ("21350238800019",))
    assert scheduled.starts_at.isoformat() == f"{day}T05:00:00+00:00"
    assert scheduled.enrolment_closes_at.isoformat() == f"{day - timedelta(days=3)}T08:00:00+00:00"
    for page in (path, "/gestion/demandes"):
        assert f"/gestion/sessions/{scheduled.session_id}" in (await organiser.get(page)).text


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        (DECLINED | {"message": " "}, "message"),
        (DECLINED | {"advisor_email": "paul"}, "advisor_email"),
        (BY_PAUL, None),
    ],
    ids=["a refusal says why", "an advisor has an address", "an answer is chosen"],
)
async def test_an_answer_with_a_mistake_is_not_sent(
    organiser: HttpBrowser, path: str, ask: Ask, typed: dict[str, str], field: str | None
) -> None:
    assert wrong_fields(await send(organiser, path, **typed)) == ([] if field is None else [field])
    request = await shown(ask, path.replace("/gestion/demandes", "/bespoke-requests"), by=BRETAGNE)
    assert request["state"] == "received"


async def test_the_board_has_the_longest_waiting_first_and_the_list_has_all_of_a_state(
    organiser: HttpBrowser, database: Database
) -> None:
    for number in range(21):
        await hear(database, a_bespoke_request(authority=f"Ville {number:02}"))

    async def towns(page: str) -> list[str]:
        return re.findall(r"Ville \d\d", (await organiser.get(page)).text)

    assert sorted(set(await towns("/gestion/demandes"))) == [f"Ville {number:02}" for number in range(20)]
    for state, number in (("received", 21), ("agreed", 0), ("rien", 21)):
        assert len(set(await towns(f"/gestion/demandes/liste?etat={state}"))) == number


@pytest.mark.parametrize("answer", ["qualified", "declined"])
async def test_an_answer_over_a_colleagues_answer_is_kept_and_sent_as_no_other(
    organiser: HttpBrowser, path: str, answer: str
) -> None:
    opened = unseen_fields((await organiser.get(path)).text)
    assert (await send(organiser, path, **DECLINED | {"answer": answer})).status_code == 303
    typed = {"answer": answer, "message": "Nous revenons vers vous."} | BY_PAUL
    stale = await organiser.post(path, data=opened | typed)
    assert stale.status_code == 412
    assert 'name="answer"' not in stale.text
    assert "Nous revenons vers vous.</textarea>" in stale.text
    assert ("?reponse=proposed" in stale.text) is (answer == "qualified")


async def test_a_request_is_handed_over_to_an_advisor_whom_the_next_answer_names(
    organiser: HttpBrowser, path: str, events_of: EventsOf
) -> None:
    await send(organiser, path, answer="qualified", message="Bien reçu.", **BY_PAUL)
    opened = unseen_fields((await organiser.get(path)).text)
    before = await events_of()
    handed = await send(organiser, f"{path}/confier", **BY_LEA)
    assert handed.headers["location"] == f"{path}?fait=confiee"
    assert f'value="{BY_LEA["advisor_email"]}"' in (await organiser.get(path)).text
    assert await events_of() == before
    for form in (path, f"{path}/confier"):
        late = await organiser.post(form, data=opened | {"answer": "proposed"} | BY_PAUL)
        assert late.status_code == 412, "the request has another advisor"


async def test_an_answer_that_the_version_before_wrote_is_shown_beside_those_of_the_history(
    organiser: HttpBrowser, path: str, database: Database
) -> None:
    await send(organiser, path, answer="qualified", message="Bien reçu.", **BY_PAUL)
    assert (await organiser.get(path)).text.count("Bien reçu.") == 1
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE bespoke_request SET answer = 'Voici une date.'"))
    page = (await organiser.get(path)).text
    assert ("Voici une date." in page, "Bien reçu." in page) == (True, True)


@pytest.mark.parametrize("sought", ["metropole", "2435 0013 900189", "reference"])
async def test_a_request_is_found_by_its_authority_its_siret_and_the_reference_of_its_letters(
    organiser: HttpBrowser, database: Database, sought: str
) -> None:
    asked = await hear(database, a_bespoke_request(authority="Rennes Métropole", siret="24350013900189"))
    other = await hear(database, a_bespoke_request())
    typed = reference_of(asked).lower() if sought == "reference" else sought
    page = (await organiser.get(f"/gestion/demandes/liste?recherche={quote(typed)}")).text
    assert (str(asked) in page, str(other) in page) == (True, False)


async def test_an_organiser_for_all_looks_for_the_requests_of_a_delegation(
    visit: HttpBrowser, database: Database
) -> None:
    await log_in(visit, ADMIN)
    here, there = [await hear(database, a_bespoke_request(delegation=code)) for code in ("bretagne", "corse")]
    page = (await visit.get("/gestion/demandes/liste?delegation=corse")).text
    assert (str(there) in page, str(here) in page) == (True, False)
