"""An officer names the agents of an authority by a list, behind the link of a letter (rule 25)."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared import clock
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Employer, Status
from shared.rates import Rate
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import text_of
from tests.integration.enrolment.visiting import KEY, links, page, path
from tests.support.builders import an_agent, open_now

RENNES = Employer(siret="21350238800019", name="Commune de Rennes", delegation="bretagne")
PORT = Employer(siret="26350999400012", name="Régie du port", delegation="bretagne")


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY)
    return it


async def private(front: Front, *employers: Employer, **changes: Any) -> SessionState:
    audience = {"sirets": [employer.siret for employer in employers or (RENNES,)]}
    fields = {"format": "bespoke", "audience": audience, "capacity": 2, "waiting_list": "none"}
    return await front.open(**fields | changes)


def link(session: SessionState, employer: Employer = RENNES) -> str:
    url = links().to_officer(session.session_id, employer.siret, session.ends_at)
    return url[url.index(Purpose.LIST.value) :]


def listed(*names: str, **columns: str) -> str:
    heading = ["Courriel", "Prénom", "Nom", *columns]
    rows = [[f"{name}@ville-exemple.fr", name, "Riou", *columns.values()] for name in names]
    return "\n".join("\t".join(row) for row in (heading, *rows))


async def send(
    ask: Ask, session: SessionState, text: str, action: str = "possible", employer: Employer = RENNES
) -> httpx.Response:
    form = {"liste": text, "action": action, "function": "agent"}
    form |= {"employer": employer.name, "delegation": employer.delegation}
    return await ask("POST", link(session, employer), data=form)


async def people(rows: SelectRows) -> list[tuple[str, str, str | None]]:
    found = await rows(
        "SELECT agent ->> 'given_name', state, reason FROM enrolment WHERE state <> 'withdrawn' ORDER BY 1"
    )
    return [tuple(row) for row in found]


async def test_an_officer_tries_a_list_then_enrols_it_without_an_account(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = await private(front)
    page(await ask("GET", link(session)), 200, "Désigner les participantes et participants")
    tried = text_of(await send(ask, session, listed("Anne", "Zoé"), "verifier"))
    assert "Rien n’est encore enregistré. Une place : 2" in tried
    assert await people(rows) == []
    assert "C’est enregistré." in text_of(await send(ask, session, listed("Anne", "Zoé"), "tout"))
    assert await people(rows) == [("Anne", "enrolled", None), ("Zoé", "enrolled", None)]
    again = text_of(await send(ask, session, listed("Anne", "Zoé"), "tout"))
    assert "Déjà dans la session, ou l’ayant quittée : 2" in again
    assert await rows("SELECT DISTINCT facts ->> 'author' FROM request") == [("service formation",)]


async def test_an_officer_names_the_agents_of_the_own_authority_alone(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = await private(front, RENNES, PORT)
    other = listed("Zoé", SIRET=PORT.siret, Employeur=PORT.name, Délégation=PORT.delegation)
    assert "Refus, sans courriel : 1" in text_of(await send(ask, session, other))
    assert await people(rows) == []
    assert "Une place : 1" in text_of(await send(ask, session, other, employer=PORT))


async def test_the_officer_tells_the_name_of_an_authority_that_is_not_known_once(
    front: Front, ask: Ask
) -> None:
    session = await private(front, RENNES, PORT)
    assert f"Employeur : {RENNES.name}, SIRET {RENNES.siret}." in text_of(await ask("GET", link(session)))
    assert f"son SIRET est {PORT.siret}" in text_of(await ask("GET", link(session, PORT)))
    await send(ask, session, listed("Anne"), employer=PORT)
    shown = text_of(await ask("GET", link(session, PORT)))
    assert f"Employeur : {PORT.name}, SIRET {PORT.siret}." in shown


async def test_the_rules_of_a_nomination_hold_for_a_list(front: Front, ask: Ask, rows: SelectRows) -> None:
    session = await private(front, capacity=1)
    shown = text_of(await send(ask, session, listed("Anne", "Zoé")))
    assert ("Une place : 1" in shown, "Refus, sans courriel : 1" in shown) == (True, True)
    assert await people(rows) == [("Anne", "enrolled", None)]


async def test_after_the_close_a_list_replaces_whoever_left_and_adds_nobody(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = await private(front, capacity=3)
    await send(ask, session, listed("Anne"))
    await front.change(session, enrolment_closes_at=clock.now())
    assert "Refus, sans courriel : 1" in text_of(await send(ask, session, listed("Zoé")))
    [(anne,)] = await rows("SELECT enrolment_id FROM enrolment")
    withdrawal = links().to_agent(
        Purpose.WITHDRAW,
        anne,
        links().mark("Anne@ville-exemple.fr"),
        until=clock.now() + timedelta(days=1),
    )
    left = await ask(
        "POST", withdrawal[withdrawal.index(Purpose.WITHDRAW.value) :], data={"confirmer": "oui"}
    )
    assert left.status_code == 200
    shown = text_of(await send(ask, session, listed("Loïc", "Zoé")))
    assert ("Une place : 1" in shown, "Refus, sans courriel : 1" in shown) == (True, True)
    assert await people(rows) == [("Loïc", "enrolled", None)]


async def test_the_link_opens_nothing_of_another_session_or_authority_or_after_the_start(
    front: Front, ask: Ask
) -> None:
    session = await private(front)
    public = await front.open()
    for closed in (link(session, PORT), link(public), link(open_now())):
        page(await ask("GET", closed), 410, "Ce lien ne s’ouvre plus")
    other = path(Purpose.ROSTER, session.session_id, 0, RENNES.siret).removeprefix(Purpose.ROSTER.value)
    assert (await ask("GET", Purpose.LIST.value + other)).status_code == 404
    await front.change(session, starts_at=clock.now() - timedelta(minutes=1))
    page(await ask("GET", link(session)), 410, "La session a commencé")
    page(await send(ask, session, listed("Anne")), 410, "La session a commencé")
    begun = session.model_copy(update={"version": session.version + 1})
    await front.change(begun, status=Status.CANCELLED)
    page(await ask("GET", link(session)), 410, "Cette session est annulée")


async def test_the_page_names_nobody_who_is_in_the_session(front: Front, ask: Ask) -> None:
    session = await private(front)
    await send(ask, session, listed("Anne"))
    shown = (await ask("GET", link(session))).text
    assert ("Riou" in shown, "Anne" in shown) == (False, False)
    known = an_agent(employer=PORT)
    await front.open(known)
    assert known.family_name not in (await ask("GET", link(session))).text


async def test_one_authority_does_not_use_up_the_visits_of_another(front: Front, asking: Any) -> None:
    session, few = await private(front, RENNES, PORT), asking(link_signing_key=KEY, link_rate="1/hour")
    links_of = [link(session), link(session), link(session, PORT)]
    assert [(await few("GET", each)).status_code for each in links_of] == [200, 429, 200]


async def test_a_link_enrols_few_people_a_day(
    front: Front, ask: Ask, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets a letter, at an address that nobody confirmed."""
    monkeypatch.setattr("services.enrolment.pages.officer_lists.A_DAY", Rate(2, 86_400))
    session = await private(front, RENNES, PORT, capacity=9)
    assert "C’est enregistré." in text_of(await send(ask, session, listed("Anne", "Zoé")))
    assert "sont inscrites par jour" in text_of(await send(ask, session, listed("Léa")), 429)
    assert "C’est enregistré." in text_of(await send(ask, session, listed("Anne")))
    assert "C’est enregistré." in text_of(await send(ask, session, listed("Eva"), employer=PORT))
    assert [name for name, *_ in await people(rows)] == ["Anne", "Eva", "Zoé"]
