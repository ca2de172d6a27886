"""A bespoke request from the portal's event to the private session of the authority, by API and pages."""

import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.catalogue.handlers import router
from services.catalogue.personal_data import REGISTER
from shared import clock
from shared.database import Database
from shared.events.catalogue import (
    BespokeRequestAnswered,
    BespokeRequestReceived,
    SessionOpened,
    SessionScheduled,
)
from shared.events.portal import BespokeTrainingRequested, TraineesNominated
from shared.events.vocabulary import Contact, Event
from shared.process.jobs import end_old_rows
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
from tests.integration.catalogue.conftest import (
    ADMIN,
    BESPOKE_OFFER,
    BRETAGNE,
    CORSE,
    PORTAL,
    EventsOf,
    audited,
    in_days,
    listed,
    problem,
    shown,
    time_is,
)
from tests.support.builders import an_agent
from tests.support.consuming import received, take

__all__ = ["organiser"]


SIRET, PATH = "21350238800019", "/bespoke-requests"

OFFICER = {"name": "Léa Martin", "email": "lea.martin@ville-exemple.fr"}
ADVISOR = {"name": "Paul Petit", "email": "paul.petit@delegation.example"}


def a_bespoke_request(**changes: Any) -> BespokeTrainingRequested:
    fields: dict[str, Any] = {
        "siret": SIRET,
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "requested_by": OFFICER,
        "theme": "enjeux-ia",
        "trainees": 15,
        "message": "Plutôt au printemps.",
    }
    return BespokeTrainingRequested.model_validate(fields | changes)


async def hear(database: Database, event: Event, event_id: UUID | None = None) -> UUID:
    event_id = event_id or uuid4()
    await take(router, database, [received(event, event_id)])
    return event_id


def a_session(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "offer_id": BESPOKE_OFFER,
        "starts_at": in_days(60).isoformat(),
        "ends_at": in_days(60.3).isoformat(),
        "venue": "Hôtel de ville, Rennes",
    }
    return fields | changes


async def reply(
    ask: Ask, request_id: UUID | str, answer: str, *, by: str | None = BRETAGNE, **more: Any
) -> Any:
    body = {"answer": answer, "advisor": ADVISOR, "message": "Bonjour."} | more
    return await ask("POST", f"/bespoke-requests/{request_id}/answers", by=by, **body)


async def test_each_request_is_acknowledged_once_and_kept_once_however_often_it_comes(
    ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request = a_bespoke_request(wished_from=in_days(30), wished_until=in_days(60))
    request_id = await hear(database, request)
    await reply(ask, request_id, "declined")
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM inbox"))  # as after ninety days
    await hear(database, request, request_id)
    receipt, _ = await events_of(SIRET)
    assert isinstance(receipt, BespokeRequestReceived)
    assert receipt.model_dump(include=_PUBLISHED) == request.model_dump(include=_PUBLISHED)
    assert (receipt.request_id, receipt.request_source) == (request_id, "/tests")
    assert "printemps" not in receipt.model_dump_json()
    assert [item["state"] for item in await listed(ask, PATH, by=BRETAGNE)] == ["declined"]


_PUBLISHED = {
    *("siret", "authority", "delegation", "theme", "trainees"),
    *("wished_from", "wished_until", "requested_by"),
}


async def test_requests_of_two_portals_with_one_id_are_two_and_each_is_answered_to_its_own(
    ask: Ask, database: Database, events_of: EventsOf
) -> None:
    event_id, iel, ouest = uuid4(), "/portals/iel", "/portals/ouest"
    for source in (iel, ouest, iel, ouest):
        async with database.transaction() as tx:
            await tx.execute(text("DELETE FROM inbox"))  # as after ninety days
        await take(router, database, [replace(received(a_bespoke_request(), event_id), source=source)])
    receipts = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestReceived)]
    assert [event.request_source for event in receipts] == [iel, ouest]

    requests = await listed(ask, PATH, by=BRETAGNE)
    assert {request["request_id"] for request in requests} == {str(event_id)}
    (other,) = {request["bespoke_id"] for request in requests} - {str(event_id)}  # the first keeps its id
    await reply(ask, other, "declined")
    answered = (await events_of(SIRET))[-1]
    assert isinstance(answered, BespokeRequestAnswered)
    assert (answered.request_id, answered.request_source) == (event_id, ouest)
    states = {item["bespoke_id"]: item["state"] for item in await listed(ask, PATH, by=BRETAGNE)}
    assert states == {str(event_id): "received", other: "declined"}


async def test_a_request_is_qualified_proposed_and_agreed_to_with_a_private_session(
    a_bespoke_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request_id = await hear(database, a_bespoke_request())
    request = await shown(ask, f"{PATH}/{request_id}", by=BRETAGNE)
    assert (request["state"], request["authority"], request["requester"]) == (
        *("received", "Ville de Rennes"),
        OFFICER,
    )
    for answer in ("qualified", "proposed"):
        assert (await reply(ask, request_id, answer)).json()["state"] == answer
    session_id = (await reply(ask, request_id, "agreed", session=a_session())).json()["session_id"]

    answers = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestAnswered)]
    assert [event.answer for event in answers] == ["qualified", "proposed", "agreed"]
    last = answers[-1]
    assert (last.request_id, last.session_id) == (request_id, UUID(session_id))
    assert last.requested_by == Contact(**OFFICER)
    scheduled, opened = await events_of(session_id)
    assert isinstance(scheduled, SessionScheduled)
    assert isinstance(opened, SessionOpened)
    assert (scheduled.format, scheduled.organiser, scheduled.capacity) == ("bespoke", "bretagne", 20)
    assert (scheduled.minimum, scheduled.audience.sirets) == (12, (SIRET,))
    days = timedelta(days=15)  # before it begins, an hour more or less if the clocks change
    assert abs(scheduled.starts_at - scheduled.enrolment_closes_at - days) <= timedelta(hours=1)
    problem(await ask("GET", f"/sessions/{session_id}"), 404)
    problem(await reply(ask, request_id, "declined"), 409)
    history = await audited(database, request_id)
    assert [(actor, action) for actor, action, _, _ in history] == [(BRETAGNE, "answered")] * 3
    assert OFFICER["email"] not in str(history)


async def test_nominations_are_not_the_catalogues(database: Database) -> None:
    nominated = TraineesNominated(
        siret=SIRET, session_id=uuid4(), agents=(an_agent(),), nominated_by=Contact(**OFFICER)
    )
    await hear(database, nominated)
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM dead_letter")) == 0


@pytest.mark.parametrize(("by", "status"), [(CORSE, 404), (None, 401), (PORTAL, 403), (ADMIN, 200)])
async def test_a_request_is_seen_and_answered_by_its_delegation_and_admins_alone(
    ask: Ask, database: Database, events_of: EventsOf, by: str | None, status: int
) -> None:
    request_id = await hear(database, a_bespoke_request())
    before = len(await events_of())
    assert (await ask("GET", f"{PATH}/{request_id}", by=by)).status_code == status
    assert (await reply(ask, request_id, "declined", by=by)).status_code == status
    found = await ask("GET", PATH, by=by)
    assert len(found.json().get("items", [])) == len(await events_of()) - before == (by == ADMIN)


async def test_an_agreement_on_an_impossible_session_changes_nothing(
    a_bespoke_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request_id = await hear(database, a_bespoke_request())
    await reply(ask, request_id, "proposed")
    before = await events_of()
    for field, session in (
        ("body.session.offer_id", a_session(offer_id="rien")),
        ("body.session.venue", a_session(venue=None)),
        ("body.session.ends_at", a_session(ends_at=in_days(2).isoformat())),
        ("body.session.organiser", a_session(organiser="corse")),
        ("body.session", None),
    ):
        assert field in problem(await reply(ask, request_id, "agreed", session=session), 422)
    assert await events_of() == before
    assert (await shown(ask, f"{PATH}/{request_id}", by=BRETAGNE))["state"] == "proposed"


async def test_the_requester_is_forgotten_a_year_after_the_last_answer_or_the_receipt(
    a_bespoke_offer: str, ask: Ask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, still_open, unread = [await hear(database, a_bespoke_request()) for _ in range(3)]
    await reply(ask, settled, "declined")
    await reply(ask, still_open, "proposed")
    settings = SimpleNamespace(
        catalogue_bespoke_kept_days=365, catalogue_audit_kept_days=1826, read_log_kept_days=1826
    )
    forgotten = dict.fromkeys(("requester", "message", "answer", "advisor"))
    for days, known in ((364, {"requester": OFFICER}), (366, forgotten)):
        async with time_is(monkeypatch, clock.now() + timedelta(days=days)):
            await end_old_rows(database, REGISTER, settings)
        for request_id in (settled, still_open, unread):
            request = await shown(ask, f"{PATH}/{request_id}", by=BRETAGNE)
            assert {name: request[name] for name in known} == known


# ----------------------------------------------------------------------------------------------------- pages


BY_PAUL = {f"advisor_{name}": value for name, value in ADVISOR.items()}
BY_LEA = {"advisor_name": "Léa Martin", "advisor_email": "lea.martin@delegation.example"}
DECLINED = BY_PAUL | {"answer": "declined", "message": "Faute de formateur."}


@pytest.fixture
async def path(a_bespoke_offer: str, database: Database) -> str:
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


async def test_an_answer_with_a_mistake_is_not_sent(organiser: HttpBrowser, path: str, ask: Ask) -> None:
    assert wrong_fields(await send(organiser, path, **BY_PAUL)) == [], "no answer is chosen"
    for field, wrong in (("message", " "), ("advisor_email", "paul")):
        assert wrong_fields(await send(organiser, path, **DECLINED | {field: wrong})) == [field]
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


async def test_a_request_is_found_by_its_authority_its_siret_and_the_reference_of_its_letters(
    organiser: HttpBrowser, database: Database
) -> None:
    asked = await hear(database, a_bespoke_request(authority="Rennes Métropole", siret="24350013900189"))
    other = await hear(database, a_bespoke_request())
    for typed in ("metropole", "2435 0013 900189", reference_of(asked).lower()):
        page = (await organiser.get(f"/gestion/demandes/liste?recherche={quote(typed)}")).text
        assert (str(asked) in page, str(other) in page) == (True, False), typed


async def test_an_organiser_for_all_looks_for_the_requests_of_a_delegation(
    visit: HttpBrowser, database: Database
) -> None:
    await log_in(visit, ADMIN)
    here, there = [await hear(database, a_bespoke_request(delegation=code)) for code in ("bretagne", "corse")]
    page = (await visit.get("/gestion/demandes/liste?delegation=corse")).text
    assert (str(there) in page, str(here) in page) == (True, False)
