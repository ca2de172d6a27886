"""The pages of a delegation: what can be done with sessions, and which errors stand beside a field."""

import asyncio
import re
from html import unescape

import pytest

from services.catalogue.service.failures import Missing, NotYours
from shared.events.catalogue import (
    ReplayPublished,
    SessionCancelled,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
)
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    a_form,
    created,
    error_of,
    hidden,
    log_in,
    organiser,
    send,
    unseen_fields,
)
from tests.integration.catalogue.conftest import (
    BRETAGNE,
    EventsOf,
    in_days,
    published,
    time_is,
)

__all__ = ["organiser"]


async def test_a_session_is_drafted_published_changed_and_cancelled(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer, experts="Une juriste\r\nUn élu", summary="Une journée.")
    assert await events_of() == []
    assert "Le brouillon est enregistré" in (await organiser.get(f"{path}?fait=creee")).text
    done = await send(organiser, path, f"{path}/publier")
    assert done.headers["location"] == f"{path}?fait=publiee"
    assert (await send(organiser, path, capacity="12", venue="Quimper")).status_code == 303
    assert "C’est définitif" in (await organiser.get(f"{path}/annuler")).text
    assert (await send(organiser, f"{path}/annuler")).headers["location"] == f"{path}?fait=annulee"
    scheduled, opened, changed, cancelled = await events_of()
    assert isinstance(scheduled, SessionScheduled)
    assert isinstance(opened, SessionOpened)
    assert isinstance(changed, SessionChanged)
    assert isinstance(cancelled, SessionCancelled)
    assert (scheduled.title, scheduled.capacity, scheduled.organiser) == ("L'IA à Brest", 30, "bretagne")
    assert (changed.capacity, changed.venue) == (12, "Quimper")
    page = (await organiser.get(path)).text
    assert "Une session annulée le reste" in page


async def test_a_session_without_a_limit_of_seats_can_be_made_and_limited(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer, illimite="oui", capacity="7")
    session = path.rsplit("/", 1)[1]
    shown = await ask("GET", f"/sessions/{session}", by=BRETAGNE)
    assert shown.json()["capacity"] is None
    assert (await send(organiser, path, capacity="")).status_code == 422
    assert (await send(organiser, path, capacity="7")).status_code == 303
    assert (await ask("GET", f"/sessions/{session}", by=BRETAGNE)).json()["capacity"] == 7


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"offer_id": ""}, "offer_id", "Ce champ est obligatoire."),
        ({"offer_id": "rien"}, "offer_id", "Cette offre n’existe pas."),
        ({"starts_at": ""}, "starts_at", "Ce champ est obligatoire."),
        ({"starts_at": "demain"}, "starts_at", "Indiquez une date et une heure"),
        ({"ends_at": "2026-01-01T00:00"}, "ends_at", "Les dates ne se suivent pas"),
        ({"capacity": "-1"}, "capacity", "Indiquez un nombre entier de places"),
        ({"capacity": "beaucoup"}, "capacity", "Indiquez un nombre entier de places"),
        ({"join_url": "javascript:alert(1)"}, "join_url", "Indiquez une adresse complète"),
        ({"timezone": "Europe/Atlantide"}, "timezone", "Ce fuseau horaire n’existe pas."),
        ({"title": "a" * 301}, "title", "Le titre a de 1 à 300 caractères"),
        ({"waiting_list": "tirage"}, "waiting_list", "Cette valeur n’est pas valide."),
    ],
)
async def test_an_error_stands_beside_its_field_and_what_was_typed_stays(
    visitor: HttpBrowser, changes: dict[str, str], field: str, expected: str
) -> None:
    await log_in(visitor)
    answer = await send(visitor, "/gestion/sessions/nouvelle", **a_form("ia-et-territoires", **changes))
    assert answer.status_code == 422
    assert error_of(answer, field).startswith(expected)
    assert "Rien n’a été enregistré" in answer.text
    assert 'value="Brest"' in answer.text


async def test_every_error_is_listed_above_the_form_in_a_place_that_takes_the_focus(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    changes = {"starts_at": "", "capacity": "x", "organiser": "atlantide"}
    changes |= {"modules-0-title": "", "modules-0-starts_at": "demain", "modules-0-ends_at": ""}
    answer = await send(organiser, "/gestion/sessions/nouvelle", **a_form(an_empty_offer, **changes))
    (above,) = re.findall(
        r'<div class="notice closed" role="alert" tabindex="-1" autofocus>.*?</div>', answer.text, re.DOTALL
    )
    targets = re.findall(r'<a href="#([^"]+)">([^:]+)\u00a0: ', above)
    assert targets == [  # as they stand in the form
        ("starts_at", "Début"),
        ("modules-0-title", "Séance 1, titre"),
        ("modules-0-starts_at", "Séance 1, début"),
        ("modules-0-ends_at", "Séance 1, fin"),
        ("capacity", "Places"),
    ]
    for target, _ in targets:
        assert f' id="{target}"' in answer.text
    # A delegation's form does not ask which one, so that this leads nowhere.
    assert "<li>Choisissez la délégation qui organise.</li>" in above


async def test_html_that_was_typed_comes_back_as_text(organiser: HttpBrowser, an_empty_offer: str) -> None:
    typed = '"><script>alert(1)</script>'
    form = a_form(an_empty_offer, title=typed, summary=f"</textarea>{typed}")
    path = await created(organiser, an_empty_offer, **form)
    for page in (
        (await organiser.get(path)).text,
        (await send(organiser, "/gestion/sessions/nouvelle", **form | {"ends_at": ""})).text,
        (await organiser.get("/gestion")).text,
    ):
        assert "<script>" not in page
        assert "&lt;script&gt;" in page


async def test_of_a_session_that_is_over_the_presentation_may_change_as_by_the_api(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/gestion/sessions/{session_id}"
    async with time_is(monkeypatch, in_days(41)):
        await log_in(organiser)
        page = (await organiser.get(path)).text
        assert "seule sa présentation peut encore changer" in page
        assert 'name="title"' not in page
        assert (await send(organiser, path, summary="À revoir.", experts="Une juriste")).status_code == 303
        refused = await send(organiser, path, title="Autre")
        assert "La session est terminée" in refused.text
    shown = (await ask("GET", f"/sessions/{session_id}", by=BRETAGNE)).json()
    assert (shown["summary"], shown["experts"]) == ("À revoir.", ["Une juriste"])


async def test_the_list_of_a_delegation_is_filtered_by_state_and_format(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    draft = await created(organiser, an_empty_offer)
    public = f"/gestion/sessions/{await published(ask, an_empty_offer)}"

    async def listed(query: str) -> set[str]:
        page = (await organiser.get(f"/gestion?{query}")).text
        return set(re.findall(r'href="(/gestion/sessions/[0-9a-f-]{36})"', page))

    assert await listed("") == {draft, public}
    assert await listed("etat=draft") == {draft}
    assert await listed("etat=published&format=local_event") == {public}
    assert await listed("format=webinar") == set()
    assert await listed("delegation=corse") == {draft, public}  # all are this delegation's
    assert await listed("etat=perdue&format=cours") == {draft, public}
    page = (await organiser.get("/gestion?etat=draft&format=local_event&passees=oui")).text
    used = re.findall(r"Retirer le filtre </span>([^<]+)<", page)
    assert used == ["Brouillon", "Rendez-vous local", "Sessions terminées comprises"]
    assert 'name="delegation"' not in page


async def test_a_long_list_of_a_delegation_is_walked_in_both_directions(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.catalogue.pages.manage.listing.PAGE", 1)
    for _ in range(3):
        await published(ask, an_empty_offer)
    first = (await organiser.get("/gestion?etat=published")).text
    second = (await organiser.get(way(first, "next"))).text
    third = (await organiser.get(way(second, "next"))).text
    assert 'rel="next"' not in third
    back = (await organiser.get(way(third, "prev"))).text
    session_link = re.compile(r'href="(/gestion/sessions/[0-9a-f-]{36})"')
    assert session_link.findall(back) == session_link.findall(second)
    assert session_link.findall((await organiser.get(way(back, "prev"))).text) == session_link.findall(first)
    assert "etat=published" in way(back, "prev")


def way(page: str, rel: str) -> str:
    match = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    assert match, page
    return unescape(match[1])


async def test_to_look_is_not_to_do(organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf) -> None:
    path = await created(organiser, an_empty_offer)
    for method in ("HEAD", "GET"):
        assert (await organiser.request(method, f"{path}/publier")).status_code == 200
    assert await events_of() == []
    await send(organiser, path, f"{path}/publier")
    before = await events_of()
    for method in ("HEAD", "GET"):
        for address in (path, f"{path}/annuler", "/gestion/sessions/nouvelle", "/gestion/connexion"):
            assert (await organiser.request(method, address)).status_code == 200, (method, address)
    assert await events_of() == before


async def test_a_draft_is_deleted_once_it_is_meant(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    assert f'href="{path}/supprimer"' in (await organiser.get(path)).text
    confirmation = await organiser.get(f"{path}/supprimer")
    assert (confirmation.status_code, "C’est définitif" in confirmation.text) == (200, True)
    assert (await organiser.get(path)).status_code == 200
    answer = await send(organiser, f"{path}/supprimer")
    assert answer.headers["location"] == "/gestion?fait=supprimee"
    assert "Le brouillon est supprimé." in (await organiser.get(answer.headers["location"])).text
    assert (await organiser.get(path)).status_code == 404
    assert await events_of() == []


async def test_what_cannot_be_taken_back_is_not_offered_and_the_page_says_why(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    await _refused(organiser, f"{path}/annuler", "La session n’est pas publiée.")
    page = (await organiser.get(path)).text
    form = unseen_fields(page)
    await send(organiser, path, f"{path}/publier")
    assert f'href="{path}/supprimer"' not in (await organiser.get(path)).text
    await _refused(organiser, f"{path}/supprimer", "ne se supprime pas")
    assert (await organiser.post(f"{path}/supprimer", data=form)).status_code == 412
    await send(organiser, f"{path}/annuler")
    before = await events_of()
    await _refused(organiser, f"{path}/annuler", "La session est annulée, et le reste.")
    await _refused(organiser, f"{path}/supprimer", "ne se supprime pas")
    assert await events_of() == before


async def test_the_reason_of_a_cancellation_is_asked_for_and_shown(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    session = await published(ask, an_empty_offer)
    path = f"/gestion/sessions/{session}"
    assert "n’y nommez personne" in (await organiser.get(f"{path}/annuler")).text
    too_long = await send(organiser, f"{path}/annuler", reason="é" * 501)
    assert too_long.status_code == 422
    assert "au plus 500 caractères" in error_of(too_long, "reason")
    assert "é" * 501 in too_long.text
    linked = await send(organiser, f"{path}/annuler", reason="Voyez remboursement-cnfpt.example.org")
    assert linked.status_code == 422
    assert "sans adresse ni lien" in error_of(linked, "reason")
    assert (await send(organiser, f"{path}/annuler", reason="La salle est fermée.")).status_code == 303
    for page in (path, f"/sessions/{session}"):
        assert "La salle est fermée." in (await organiser.get(page)).text, page
    assert "DESCRIPTION:La salle est fermée." in (await organiser.get("/agenda.ics")).text


async def _refused(organiser: HttpBrowser, path: str, why: str) -> None:
    answer = await organiser.get(path)
    assert (answer.status_code, why in answer.text) == (422, True), answer.text
    assert "C’est définitif" not in answer.text


async def test_a_form_that_is_sent_many_times_at_once_is_done_once(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    async def twenty_times(path: str, to: str, **fields: str) -> list[str]:
        page = (await organiser.get(path)).text
        names = [name for name in ("cle", "formulaire", "version") if f'name="{name}"' in page]
        form = {name: hidden(page, name) for name in names} | fields
        answers = await asyncio.gather(*(organiser.post(to, data=form) for _ in range(20)))
        assert {answer.status_code for answer in answers} <= {303, 412, 422}
        return [answer.headers["location"] for answer in answers if answer.status_code == 303]

    new = "/gestion/sessions/nouvelle"
    drafts = await twenty_times(new, new, **a_form(an_empty_offer))
    (made,) = set(drafts)
    path = made.partition("?")[0]
    copies = await twenty_times(path, f"{path}/copier", copie=in_days(50).strftime("%Y-%m-%dT%H:%M"))
    (copied,) = set(copies)
    assert (len(drafts), len(copies)) == (20, 20)
    assert copied.partition("?")[0] != path
    assert len((await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]) == 2
    assert len(await twenty_times(path, f"{path}/publier")) == 1
    assert len(await twenty_times(f"{path}/annuler", f"{path}/annuler")) == 1
    assert [type(event) for event in await events_of(path.rpartition("/")[2])] == [
        SessionScheduled,
        SessionOpened,
        SessionCancelled,
    ]
    # What is typed otherwise is another draft, and so is what a new form says the same of.
    page = (await organiser.get(new)).text
    form = {name: hidden(page, name) for name in ("cle", "formulaire")} | a_form(an_empty_offer)
    other = [
        await organiser.post(new, data=form | changes) for changes in ({}, {"venue": "Le Couvent, Vannes"})
    ]
    assert len({made, *(answer.headers["location"] for answer in other)}) == 3


async def test_a_copy_is_a_draft_at_another_time(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer)
    start = in_days(80).strftime("%Y-%m-%dT%H:%M")
    answer = await send(organiser, path, f"{path}/copier", copie=start)
    assert answer.headers["location"].endswith("?fait=copiee")
    assert len((await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]) == 2
    assert error_of(await send(organiser, path, f"{path}/copier", copie="bientôt"), "copie")
    last = await send(organiser, path, f"{path}/copier", copie="2099-12-31T23:00")
    assert "n’est pas entre 2000 et 2100" in error_of(last, "copie")


async def test_a_replay_is_published_from_the_page_of_its_session(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    began = {"enrolment_opens_at": in_days(-9), "starts_at": in_days(-0.1), "ends_at": in_days(0.2)}
    dates = {name: moment.isoformat() for name, moment in began.items()}
    path = f"/gestion/sessions/{await published(ask, an_empty_offer, **dates)}"
    assert "Le titre" in error_of(
        await send(organiser, path, f"{path}/replay", replay_title="", replay_url="https://v.example.org/1"),
        "replay_title",
    )
    fields = {"replay_title": "Revoir", "replay_url": "https://v.example.org/1", "replay_theme": "enjeux-ia"}
    answer = await send(organiser, path, f"{path}/replay", **fields)
    assert answer.headers["location"] == f"{path}?fait=replay"
    (replay,) = [event for event in await events_of() if isinstance(event, ReplayPublished)]
    assert (replay.title, replay.themes) == ("Revoir", ("enjeux-ia",))
    other = await send(organiser, path, f"{path}/replay", **fields | {"replay_title": "Autre"})
    assert "en ligne à cette adresse" in error_of(other, "replay_url")
    not_begun = await created(organiser, an_empty_offer)
    refused = await send(organiser, not_begun, f"{not_begun}/replay", **fields)
    assert (refused.status_code, "La session n’est pas publiée." in refused.text) == (422, True)


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Missing("session"), 404), (NotYours("It is Corse's."), 403)],
    ids=["gone", "not theirs"],
)
async def test_what_went_away_between_the_look_and_the_act_is_a_page_and_no_fault(
    organiser: HttpBrowser,
    an_empty_offer: str,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    status: int,
) -> None:
    path = await created(organiser, an_empty_offer)

    async def too_late(*_args: object, **_named: object) -> None:
        raise failure

    monkeypatch.setattr("services.catalogue.service.resources.publish", too_late)
    answer = await send(
        organiser, path, f"{path}/replay", replay_title="T", replay_url="https://video.example/1"
    )
    assert answer.status_code == status
    assert "<h1>" in answer.text


async def test_publishing_says_what_follows_and_saves_what_was_typed_first(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    page = (await organiser.get(path)).text
    form = re.search(r'<form id="session" [^>]*action="([^"]+)"', page)
    assert form
    assert form[1] == path
    first, *_ = re.findall(r'<button[^>]* form="session"[^>]*>', page)
    assert 'name="publier"' not in first, "Enter saves, and publishes nothing"
    assert '<button form="session" name="publier" value="oui">' in page
    wrong = await send(organiser, path, publier="oui", venue="Quimper", capacity="x")
    assert (wrong.status_code, 'value="Quimper"' in wrong.text) == (422, True)
    answer = await send(organiser, path, publier="oui", venue="Hôtel de ville, Quimper", capacity="12")
    assert answer.headers["location"].partition("?")[0] == f"{path}/publier"
    asked = (await organiser.get(answer.headers["location"])).text
    for said in ("Hôtel de ville, Quimper", "12\u00a0places", "C’est définitif", "abonnées aux nouveautés"):
        assert said in asked
    assert await events_of() == []
    assert (await send(organiser, f"{path}/publier")).headers["location"] == f"{path}?fait=publiee"
    scheduled, *_ = await events_of()
    assert isinstance(scheduled, SessionScheduled)
    assert (scheduled.venue, scheduled.capacity) == ("Hôtel de ville, Quimper", 12)
    again = await organiser.get(f"{path}/publier")
    assert (again.status_code, "La session est déjà publiée." in again.text) == (422, True)
