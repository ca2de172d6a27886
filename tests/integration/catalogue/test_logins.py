"""A form that is sent after its log-in ended comes back after the next; a delegation has its own sessions.

Log-ins themselves are tested in `tests/integration/services`.
"""

import re
from html import unescape
from uuid import uuid4

import pytest

from shared.guard import Guard, LimitMet
from tests.conftest import Ask, SecurityLines
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    created,
    edited,
    hidden,
    log_in,
    organiser,
    send,
    unseen_fields,
)
from tests.integration.catalogue.conftest import BRETAGNE, CORSE, EventsOf, published

__all__ = ["organiser"]

ACTIONS = ("", "/publier", "/annuler", "/copier", "/replay")


async def log_out(organiser: HttpBrowser) -> None:
    await send(organiser, "/gestion", "/gestion/deconnexion")


def every_hidden(page: str) -> dict[str, str]:
    """What a form brings that nobody types."""
    return {
        unescape(name): unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page)
    }


async def sent_late(organiser: HttpBrowser, path: str, form: dict[str, str]) -> dict[str, str]:
    """Log out and send a form; return what the page of the log-in brings along."""
    await log_out(organiser)
    late = await organiser.post(path, data=form)
    assert late.status_code == 403
    return every_hidden(late.text)


async def test_what_was_typed_comes_back_after_a_log_in_in_another_tab(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    key = hidden((await organiser.get(path)).text, "cle")
    brought = await sent_late(organiser, path, {"cle": key, "title": "Un titre"})
    too_early = await organiser.post("/gestion/connexion", data=brought)
    assert (too_early.status_code, every_hidden(too_early.text)) == (403, brought)
    await log_in(organiser)
    taken_up = await organiser.post("/gestion/connexion", data=brought)
    assert (taken_up.status_code, every_hidden(taken_up.text)["title"]) == (200, "Un titre")


async def test_what_was_typed_is_sent_again_by_a_button_with_the_key_of_the_new_log_in(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    page = (await organiser.get(edited(path))).text
    form = unseen_fields(page) | {"title": "Un <autre> titre", "venue": "Brest"}
    brought = await sent_late(organiser, path, form)
    assert form["cle"] not in brought.values()
    assert brought["vers"] == path
    mistyped = await organiser.post("/gestion/connexion", data=brought | {"jeton": "x"})
    assert every_hidden(mistyped.text) == brought
    for untrue in ("https://ailleurs.example/", "/sessions"):
        refused = await organiser.post("/gestion/connexion", data=brought | {"jeton": "x", "envoi": untrue})
        assert every_hidden(refused.text) == brought | {"envoi": ""}, "it can be copied, and goes nowhere"

    again = await organiser.post("/gestion/connexion", data=brought | {"jeton": BRETAGNE})

    once_more = every_hidden(again.text)
    assert f'<form class="form" action="{path}"' in again.text
    assert "Un <autre> titre" not in unescape((await organiser.get(path)).text), "nothing is sent unasked"
    old_key = await organiser.post(path, data=once_more | {"cle": form["cle"]})
    assert old_key.status_code == 403
    assert (await organiser.post(path, data=once_more)).status_code == 303
    assert "Un <autre> titre" in unescape((await organiser.get(path)).text)
    assert await events_of() == []


async def test_a_late_form_from_elsewhere_brings_nothing(organiser: HttpBrowser, an_empty_offer: str) -> None:
    path = await created(organiser, an_empty_offer)
    form = unseen_fields((await organiser.get(path)).text) | {"title": "Un titre"}
    await log_out(organiser)
    forged = await organiser.post(path, data=form, headers={"origin": "https://ailleurs.example"})
    assert (forged.status_code, "Un titre" in forged.text) == (403, False)


async def test_what_cannot_be_undone_is_asked_again_by_its_page(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/gestion/sessions/{session_id}"
    form = unseen_fields((await organiser.get(f"{path}/annuler")).text)

    async def brought_back(action: str, **fields: str) -> str:
        brought = await sent_late(organiser, f"{path}/{action}", form | fields)
        answer = await organiser.post("/gestion/connexion", data=brought | {"jeton": BRETAGNE})
        return unescape(answer.text)

    page = await brought_back("annuler", reason="Trop peu d’inscrits.")
    assert "Trop peu d’inscrits." in page
    assert f'action="{path}/annuler"' not in page, "it is to be looked at again"
    page = await brought_back("places", capacity="14", confirmer="oui")
    assert "confirmer" not in every_hidden(page)
    await organiser.post(f"{path}/places", data=every_hidden(page))
    shown = (await ask("GET", f"/sessions/{session_id}")).json()
    assert (shown["status"], shown["capacity"] == 14) == ("published", False)


async def test_what_was_typed_stays_where_too_many_log_in(
    organiser: HttpBrowser, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await created(organiser, an_empty_offer)
    form = unseen_fields((await organiser.get(path)).text) | {"title": "Un autre titre"}
    brought = await sent_late(organiser, path, form)

    async def too_many(*_: object) -> None:
        raise LimitMet(7)

    monkeypatch.setattr(Guard, "take", too_many)
    for token in (BRETAGNE, "x"):
        answer = await organiser.post("/gestion/connexion", data=brought | {"jeton": token})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert "set-cookie" not in answer.headers
        assert every_hidden(answer.text) == brought


async def test_a_form_of_a_session_without_the_key_of_the_log_in_does_nothing(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    for action in ACTIONS:
        forged = await organiser.post(path + action, data={"cle": "autre", "title": "Autre", "version": "1"})
        assert forged.status_code == 403
    assert await events_of() == []


async def test_a_delegation_sees_nothing_of_another(
    ask: Ask, organiser: HttpBrowser, an_empty_offer: str, security_lines: SecurityLines
) -> None:
    theirs = await published(ask, an_empty_offer)
    await log_out(organiser)
    await log_in(organiser, CORSE)
    listed = await organiser.get("/gestion?passees=oui")
    assert theirs not in listed.text
    key = {"cle": hidden(listed.text, "cle")}
    for session_id in (theirs, uuid4()):
        path = f"/gestion/sessions/{session_id}"
        answers = [await organiser.get(path), await organiser.get(f"{path}/annuler")]
        answers += [await organiser.post(path + action, data=key) for action in ACTIONS]
        assert [answer.status_code for answer in answers] == [404] * 7
    lines = security_lines()
    refused = [line for line in lines if line["event"] == "right"]
    assert len(refused) == 7, "of the one that is another's, not of the one that does not exist"
    assert refused[0]["where"] == "/gestion/sessions/{session_id:uuid}"
    assert {line["who"].partition(":")[0] for line in refused} == {"organiser"}
