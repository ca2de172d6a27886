"""The pages of a delegation: its buttons, what they refuse, and what a form that is sent twice does."""

import asyncio
import re

import pytest

from services.catalogue.service.failures import Missing, NotYours
from shared.events.catalogue import (
    ReplayPublished,
    SessionCancelled,
    SessionOpened,
    SessionScheduled,
)
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    a_form,
    created,
    hidden,
    local,
    log_in,
    organiser,
    send,
    wrong_fields,
)
from tests.integration.catalogue.conftest import (
    BRETAGNE,
    EventsOf,
    begun,
    in_days,
    kinds,
    listed,
    published,
    shown,
    time_is,
)

__all__ = ["organiser"]

NEW = "/gestion/sessions/nouvelle"


async def test_html_that_was_typed_comes_back_as_text(organiser: HttpBrowser, an_empty_offer: str) -> None:
    typed = '"><script>alert(1)</script>'
    form = a_form(an_empty_offer, title=typed, summary=f"</textarea>{typed}")
    path = await created(organiser, an_empty_offer, **form)
    refused = await send(organiser, NEW, **form | {"ends_at": ""})
    for page in (await organiser.get(path), refused, await organiser.get("/gestion")):
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text


async def test_of_a_session_that_is_over_the_presentation_alone_may_change(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/gestion/sessions/{session_id}"
    async with time_is(monkeypatch, in_days(41)):
        await log_in(organiser)
        assert 'name="title"' not in (await organiser.get(path)).text
        assert (await send(organiser, path, summary="À revoir.", experts="Une juriste")).status_code == 303
        assert (await send(organiser, path, title="Autre")).status_code == 422
    session = await shown(ask, f"/sessions/{session_id}", by=BRETAGNE)
    assert (session["summary"], session["experts"]) == ("À revoir.", ["Une juriste"])


async def test_looking_changes_nothing(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    draft, public = await created(organiser, an_empty_offer), await published(ask, an_empty_offer)
    before = await events_of()
    for address in (f"{draft}/publier", f"{draft}/supprimer", f"/gestion/sessions/{public}/annuler", NEW):
        for method in ("HEAD", "GET"):
            assert (await organiser.request(method, address)).status_code == 200, (method, address)
    assert (await events_of(), len(await listed(ask, by=BRETAGNE))) == (before, 2)


async def test_a_button_that_is_no_use_any_more_is_refused(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    draft = await created(organiser, an_empty_offer)
    public, cancelled = [f"/gestion/sessions/{await published(ask, an_empty_offer)}" for _ in range(2)]
    await send(organiser, f"{cancelled}/annuler")
    before = await events_of()
    for path in (f"{draft}/annuler", f"{public}/supprimer", f"{public}/publier", f"{cancelled}/annuler"):
        assert (await organiser.get(path)).status_code == 422, path
        assert (await send(organiser, path)).status_code in (412, 422), path
    assert await events_of() == before


async def test_a_form_that_is_sent_many_times_at_once_is_done_once(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    async def many_times(path: str, to: str, **fields: str) -> list[str]:
        page = (await organiser.get(path)).text
        names = [name for name in ("cle", "formulaire", "version") if f'name="{name}"' in page]
        form = {name: hidden(page, name) for name in names} | fields
        answers = await asyncio.gather(*(organiser.post(to, data=form) for _ in range(8)))
        assert {answer.status_code for answer in answers} <= {303, 412, 422}
        return [answer.headers["location"] for answer in answers if answer.status_code == 303]

    drafts = await many_times(NEW, NEW, **a_form(an_empty_offer))
    path = drafts[0].partition("?")[0]
    copies = await many_times(path, f"{path}/copier", copie=local(50))
    assert (drafts, copies) == ([drafts[0]] * 8, [copies[0]] * 8)
    assert len(await listed(ask, by=BRETAGNE)) == 2
    assert len(await many_times(path, f"{path}/publier")) == 1
    assert len(await many_times(f"{path}/annuler", f"{path}/annuler")) == 1
    announced = kinds(await events_of(path.rpartition("/")[2]))
    assert announced == [SessionScheduled, SessionOpened, SessionCancelled]


async def test_another_form_or_other_fields_make_another_draft(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    page = (await organiser.get(NEW)).text
    form = {name: hidden(page, name) for name in ("cle", "formulaire")} | a_form(an_empty_offer)
    made = [await organiser.post(NEW, data=form | changes) for changes in ({}, {"venue": "Vannes"})]
    made.append(await send(organiser, NEW, **a_form(an_empty_offer)))
    assert len({answer.headers["location"] for answer in made}) == 3


async def test_a_session_is_copied_to_another_time(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(organiser, an_empty_offer)
    made = await send(organiser, path, f"{path}/copier", copie=local(80))
    assert made.headers["location"].endswith("?fait=copiee")
    assert len(await listed(ask, by=BRETAGNE)) == 2
    for wrong in ("bientôt", "2099-12-31T23:00"):
        assert wrong_fields(await send(organiser, path, f"{path}/copier", copie=wrong)) == ["copie"]


async def test_a_replay_is_published_from_the_page_of_its_session(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    path = f"/gestion/sessions/{await published(ask, an_empty_offer, **begun())}"
    fields = {"replay_title": "Revoir", "replay_url": "https://v.example.org/1", "replay_theme": "enjeux-ia"}
    made = await send(organiser, path, f"{path}/replay", **fields)
    assert made.headers["location"] == f"{path}?fait=replay"
    replay = (await events_of())[-1]
    assert isinstance(replay, ReplayPublished)
    assert (replay.title, replay.themes, str(replay.session_id)) == ("Revoir", ("enjeux-ia",), path[-36:])
    for change, field in (({"replay_title": ""}, "replay_title"), ({"replay_title": "Autre"}, "replay_url")):
        assert wrong_fields(await send(organiser, path, f"{path}/replay", **fields | change)) == [field]


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Missing("session"), 404), (NotYours("It is Corse's."), 403)],
    ids=["gone", "not theirs"],
)
async def test_a_subject_that_goes_between_the_look_and_the_act_is_a_page_and_no_fault(
    organiser: HttpBrowser,
    an_empty_offer: str,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    status: int,
) -> None:
    path = await created(organiser, an_empty_offer)

    async def too_late(*_args: object, **_named: object) -> None:
        raise failure

    monkeypatch.setattr("services.catalogue.service.sessions.delete", too_late)
    answer = await send(organiser, f"{path}/supprimer")
    assert answer.status_code == status
    assert "<h1>" in answer.text


async def test_publishing_saves_what_was_typed_and_asks_before_it_is_done(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    buttons = re.findall(r'<button[^>]* form="session"[^>]*>', (await organiser.get(path)).text)
    assert 'name="publier"' not in buttons[0], "Enter saves, and publishes nothing"
    assert wrong_fields(await send(organiser, path, publier="oui", capacity="x")) == ["capacity"]
    saved = await send(organiser, path, publier="oui", venue="Quimper", capacity="12")
    assert saved.headers["location"].partition("?")[0] == f"{path}/publier"
    assert await events_of() == []
    assert (await send(organiser, f"{path}/publier")).headers["location"] == f"{path}?fait=publiee"
    scheduled, *_ = await events_of()
    assert isinstance(scheduled, SessionScheduled)
    assert (scheduled.venue, scheduled.capacity) == ("Quimper", 12)
