"""Messages of organisers, on a page: tried, kept, taken back."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.enrolment.service import messages
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import OrganiserClient, hidden, page_of, send, text_of
from tests.support.builders import an_agent, open_now

MESSAGE = {"texte": "Rendez-vous au 2e étage.\n\nÀ bientôt.", "audience": "enrolled"}


async def a_session(front: Front) -> SessionState:
    """Two with a seat, one who waits."""
    session = open_now(capacity=2)
    await front.publish(session)
    await front.enrol(session, an_agent(), an_agent(), an_agent())
    return session


async def test_a_message_is_tried_before_it_is_kept(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await a_session(front)
    path = page_of(session, "/messages")
    first = (await organiser.get(path)).text
    assert all(f"{group} ({number})" in first for group, number in (("Avec une place", 2), ("En attente", 1)))
    assert re.findall(r'value="(\w+)" checked', first) == ["enrolled"]  # who waits is written to on purpose
    tried = await send(organiser, path, **MESSAGE)
    said = text_of(tried).replace("\u00a0", " ")
    assert "à 2 personnes. À qui : Avec une place." in said
    letter = "vous écrit au sujet de la session « IA et territoires ». Rendez-vous au 2e étage. À bientôt."
    assert f"Bonjour Prénom Nom, La délégation Bretagne du CNFPT {letter}" in said
    assert await rows("SELECT 1 FROM message") == []
    done = await send(organiser, path, **MESSAGE, envoyer="oui")
    assert done.headers["location"] == f"{path}?fait=message-part"
    assert "Le message part dans une minute" in text_of(await organiser.get(done.headers["location"]))
    (kept,) = await rows("SELECT text, author, audience FROM message")
    assert tuple(kept) == (MESSAGE["texte"], "advisor-bretagne", ["enrolled"])
    assert "À venir" in text_of(await organiser.get(path))


@pytest.mark.parametrize("is_planned", [False, True])
async def test_a_message_that_has_not_left_is_taken_back_and_is_in_the_form_again(
    *,
    front: Front,
    organiser: OrganiserClient,
    rows: SelectRows,
    is_planned: bool,
) -> None:
    session = await a_session(front)
    tomorrow = clock.now().astimezone(ZoneInfo(session.timezone)) + timedelta(days=1)
    planned = f"{tomorrow:%Y-%m-%d}T18:05" if is_planned else ""
    path, link = page_of(session, "/messages"), "https://exemple.fr/plan"
    await send(organiser, path, **MESSAGE, lien=link, envoi=planned, envoyer="oui")
    page = (await organiser.get(path)).text
    form = {"cle": hidden(page, "cle"), "message": hidden(page, "message")}
    answer = await organiser.post(f"{path}/retrait", data=form)
    assert "Le message est retiré" in text_of(answer)
    assert f">\n{MESSAGE['texte']}</textarea>" in answer.text
    assert re.findall(r'type="(?:url|datetime-local)" value="([^"]*)"', answer.text) == [link, planned]
    assert re.findall(r'value="(\w+)" checked', answer.text) == ["enrolled"]
    assert await rows("SELECT 1 FROM message") == []
    assert (await organiser.post(f"{path}/retrait", data=form)).status_code == 404


async def test_a_message_that_has_left_is_not_taken_back(
    front: Front, organiser: OrganiserClient, database: Database, rows: SelectRows
) -> None:
    session = await a_session(front)
    path = page_of(session, "/messages")
    await send(organiser, path, **MESSAGE, envoyer="oui")
    page = (await organiser.get(path)).text
    form = {"cle": hidden(page, "cle"), "message": hidden(page, "message")}
    async with database.transaction() as tx:
        assert await messages.send_due(tx, clock.now() + timedelta(hours=1)) == 1
    assert "Ce message est déjà parti." in text_of(await organiser.post(f"{path}/retrait", data=form), 409)
    assert len(await rows("SELECT 1 FROM message")) == 1


async def test_on_a_session_that_is_cancelled_no_message_is_to_come_or_to_be_taken_back(
    front: Front, organiser: OrganiserClient
) -> None:
    session = await a_session(front)
    path = page_of(session, "/messages")
    await send(organiser, path, **MESSAGE, envoyer="oui")
    offered = ("À venir", "Retirer")
    assert [each for each in offered if each in text_of(await organiser.get(path))] == [*offered]
    await front.publish(session.model_copy(update={"status": Status.CANCELLED, "version": 9}))
    page = text_of(await organiser.get(path))
    assert "plus aucun message ne part d’ici" in page.replace("\u00a0", " ")
    assert "Non envoyé" in page
    assert "Rendez-vous au 2e étage." in page
    assert [each for each in offered if each in page] == []


async def test_what_is_wrong_stands_beside_its_field(
    front: Front, organiser: OrganiserClient, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, now = await a_session(front), clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)  # or midnight may come between two messages
    path = page_of(session, "/messages")
    past = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    for fields, field in (
        ({"texte": " "}, "texte"),
        ({"texte": "Voyez https://exemple.fr"}, "texte"),
        ({"lien": "javascript:alert(1)"}, "lien"),
        ({"audience": "nobody"}, "audience"),
        ({"envoi": "demain"}, "envoi"),
        ({"envoi": past}, "envoi"),
    ):
        answer = await send(organiser, path, **MESSAGE | fields, envoyer="oui")
        assert answer.status_code == 422, fields
        assert f'id="{field}-erreur"' in answer.text
    assert await rows("SELECT 1 FROM message") == []
    await send(organiser, path, **MESSAGE, envoyer="oui")
    second = await send(organiser, path, **MESSAGE | {"texte": "Autre chose."}, envoyer="oui")
    assert "Ces personnes ont déjà un message ce jour-là." in text_of(second, 422)
