"""The pages of a delegation: buttons, changes that are tried first, forms that are sent twice, histories."""

import asyncio
import re
from html import unescape
from uuid import UUID

import pytest
from sqlalchemy import text

from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from shared.database import Database
from shared.events.catalogue import (
    ReplayPublished,
    SessionCancelled,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
)
from shared.rates import Rate
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
    text_of,
    unseen_fields,
    wrong_fields,
)
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    EventsOf,
    begun,
    in_days,
    kinds,
    listed,
    published,
    seats_taken,
    shown,
    time_is,
)
from tests.support.locks import locks_awaited

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
    organiser: HttpBrowser, session_id: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/gestion/sessions/{session_id}"
    async with time_is(monkeypatch, in_days(41)):
        await log_in(organiser)
        assert 'name="title"' not in (await organiser.get(path)).text
        assert (await send(organiser, path, summary="À revoir.", experts="Une juriste")).status_code == 303
        assert (await send(organiser, path, title="Autre")).status_code == 422
    session = await shown(ask, f"/sessions/{session_id}", by=BRETAGNE)
    assert (session["summary"], session["experts"]) == ("À revoir.", ["Une juriste"])


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
        answers = await asyncio.gather(*(organiser.post(to, data=form) for _ in range(3)))
        assert {answer.status_code for answer in answers} <= {303, 412, 422}
        return [answer.headers["location"] for answer in answers if answer.status_code == 303]

    drafts = await many_times(NEW, NEW, **a_form(an_empty_offer))
    path = drafts[0].partition("?")[0]
    copies = await many_times(path, f"{path}/copier", copie=local(50))
    assert (drafts, copies) == ([drafts[0]] * 3, [copies[0]] * 3)
    assert len(await listed(ask, by=BRETAGNE)) == 2
    assert len(await many_times(f"{path}/publier", f"{path}/publier")) == 1
    assert len(await many_times(f"{path}/annuler", f"{path}/annuler")) == 1
    announced = kinds(await events_of(path.rpartition("/")[2]))
    assert announced == [SessionScheduled, SessionOpened, SessionCancelled]


async def test_a_form_that_is_sent_twice_at_one_moment_makes_one_draft(
    organiser: HttpBrowser, an_empty_offer: str, database: Database
) -> None:
    page = (await organiser.get(NEW)).text
    form = {name: hidden(page, name) for name in ("cle", "formulaire")} | a_form(an_empty_offer)
    async with database.transaction() as tx:
        await tx.execute(text("LOCK TABLE session IN SHARE ROW EXCLUSIVE MODE"))
        clicks = [asyncio.ensure_future(organiser.post(NEW, data=form)) for _ in range(2)]
        await locks_awaited(database, 2)
    first, second = await asyncio.gather(*clicks)
    assert first.headers["location"] == second.headers["location"]


async def test_another_form_or_other_fields_make_another_draft(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    page = (await organiser.get(NEW)).text
    form = {name: hidden(page, name) for name in ("cle", "formulaire")} | a_form(an_empty_offer)
    made = [await organiser.post(NEW, data=form | changes) for changes in ({}, {"venue": "Vannes"})]
    made.append(await send(organiser, NEW, **a_form(an_empty_offer)))
    assert len({answer.headers["location"] for answer in made}) == 3


async def test_a_copy_begins_at_a_moment_that_can_be(organiser: HttpBrowser, an_empty_offer: str) -> None:
    path = await created(organiser, an_empty_offer)
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


async def test_publishing_saves_what_was_typed_and_asks_before_it_is_done(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    form = (await organiser.get(f"{path}?etape=public")).text
    buttons = re.findall(r"<button[^>]*>", form[form.index('id="session"') :])
    assert 'name="publier"' not in buttons[0], "Enter saves, and publishes nothing"
    assert wrong_fields(await send(organiser, path, publier="oui", capacity="x")) == ["capacity"]
    saved = await send(organiser, path, publier="oui", venue="Quimper", capacity="12")
    assert saved.headers["location"].partition("?")[0] == f"{path}/publier"
    assert await events_of() == []
    assert (await send(organiser, f"{path}/publier")).headers["location"] == f"{path}?fait=publiee"
    assert '/liste">Inscrire une liste</a>' in (await organiser.get(path)).text
    scheduled, *_ = await events_of()
    assert isinstance(scheduled, SessionScheduled)
    assert (scheduled.venue, scheduled.capacity) == ("Quimper", 12)


async def test_a_draft_is_shown_as_its_page_will_be_and_leads_nowhere_yet(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer, capacity="12", summary="Une journée à Brest.")
    public = path.removeprefix("/gestion")
    assert (await organiser.get(public)).status_code == 404
    asked = (await organiser.get(f"{path}/publier")).text
    assert ("12\u00a0places restantes" in asked, "Une journée à Brest." in asked) == (True, True)
    assert (f'href="{public}' in asked, f'data-from="{public}' in asked, "{session_id}" in asked) == (
        False,
    ) * 3
    assert "Lien à partager" not in (await organiser.get(path)).text
    await send(organiser, f"{path}/publier")
    assert re.search(rf'value="http[^"]*{public}"', (await organiser.get(path)).text)
    assert f'href="{public}.ics"' in (await organiser.get(public)).text


# ------------------------------------------------------------------------------------------- seats and dates


DAY = local(40)[:10]
DATES = {"starts_at": f"{DAY}T09:00", "ends_at": f"{DAY}T17:00"}
SEANCE = {"modules-0-starts_at": DATES["starts_at"], "modules-0-ends_at": "12:00"}
CONFIRMED = {"confirmer": "oui"}


@pytest.fixture
async def path(organiser: HttpBrowser, an_empty_offer: str, database: Database) -> str:
    """The page of a session of ten seats, all taken, with seven agents in line."""
    seats = {"capacity": "10", "waiting_list": "automatic", "approval": "employer"}
    path = await created(
        organiser, an_empty_offer, **DATES, **SEANCE, **seats, **{"modules-0-title": "Le matin"}
    )
    assert (await send(organiser, f"{path}/publier")).status_code == 303
    await seats_taken(database, path.rsplit("/", 1)[1], 10, waiting=7)
    return path


PLANNING = pytest.mark.parametrize(
    ("page", "wrong", "right"),
    [
        ("places", {"capacity": "beaucoup"}, {"capacity": "14"}),
        ("reporter", {"starts_at": "demain"}, {"starts_at": local(47)}),
    ],
    ids=["seats", "dates"],
)


@PLANNING
async def test_a_change_is_tried_before_it_is_made(
    organiser: HttpBrowser,
    path: str,
    events_of: EventsOf,
    *,
    page: str,
    wrong: dict[str, str],
    right: dict[str, str],
) -> None:
    assert wrong_fields(await send(organiser, f"{path}/{page}", **wrong)) == list(wrong)
    tried = await send(organiser, f"{path}/{page}", **right)
    assert (tried.status_code, kinds(await events_of())[-1]) == (200, SessionOpened)
    done = await organiser.post(f"{path}/{page}", data=unseen_fields(tried.text) | right | CONFIRMED)
    assert (done.headers["location"], kinds(await events_of())[-1]) == (
        f"{path}?fait=modifiee",
        SessionChanged,
    )


@PLANNING
async def test_a_mistake_does_not_make_an_old_form_a_new_one(
    organiser: HttpBrowser, path: str, *, page: str, wrong: dict[str, str], right: dict[str, str]
) -> None:
    opened = unseen_fields((await organiser.get(f"{path}/{page}")).text)
    await send(organiser, path, summary="Une journée.")
    mistaken = await organiser.post(f"{path}/{page}", data=opened | wrong)
    assert mistaken.status_code == 422
    late = await organiser.post(f"{path}/{page}", data=unseen_fields(mistaken.text) | right)
    assert late.status_code == 412


LONGER = SEANCE | {"modules-0-title": "Le matin", "modules-0-ends_at": "13:00"}
REACHES: dict[str, tuple[dict[str, str], int, list[str]]] = {
    "place": ({"venue": "Quimper"}, 200, ["7"]),
    "end of a séance": (LONGER, 200, ["7"]),
    "link": ({"join_url": "https://visio.example.org/brest"}, 200, []),
    "name of a séance": (SEANCE | {"modules-0-title": "Une matinée"}, 303, []),
    "presentation": ({"summary": "Une journée."}, 303, []),
}
"""The status of the answer, and how many people in line are reached: a link reaches enrolled agents only.

The changes with status 303 are stored, so they come last.
"""


async def test_the_form_of_a_session_shows_a_change_that_reaches_people_before_it_is_done(
    organiser: HttpBrowser, path: str
) -> None:
    for changed, (typed, status, waiting) in REACHES.items():
        answer = await send(organiser, path, **typed)
        found = re.findall(r"inscrites, (\d+)\u00a0personnes en attente", answer.text)
        assert (answer.status_code, found) == (status, waiting), changed


async def test_only_the_change_that_was_seen_is_made(
    organiser: HttpBrowser, path: str, events_of: EventsOf
) -> None:
    typed = {"venue": "Mairie, Quimper", "capacity": "14", "minimum": "3"}
    tried = await send(organiser, path, **typed)
    seen = re.search(r'form="session" name="apercu" value="([^"]+)"', tried.text)
    assert seen
    form = unseen_fields(tried.text) | typed | CONFIRMED | {"apercu": seen[1]}
    assert (await organiser.post(path, data=form | {"capacity": "15"})).status_code == 200
    assert kinds(await events_of())[-1] is SessionOpened
    assert (await organiser.post(path, data=form)).status_code == 303
    changed = (await events_of())[-1]
    assert isinstance(changed, SessionChanged)
    assert (changed.venue, changed.capacity, changed.minimum) == ("Mairie, Quimper", 14, 3)


async def test_a_change_that_is_only_tried_is_not_counted(
    organiser: HttpBrowser, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.catalogue.service.sessions.CHANGES", Rate(1, 3600))
    fields = {"capacity": "11"}
    answers = [await send(organiser, f"{path}/places", **fields | more) for more in ({}, {}, CONFIRMED)]
    answers.append(await send(organiser, f"{path}/places", capacity="13"))
    assert [answer.status_code for answer in answers] == [200, 200, 303, 422]


# ------------------------------------------------------------------------------------------------- histories


async def test_each_change_has_its_author_and_names_only_trainers_who_are_still_named(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    await send(organiser, path, venue="Quimper", trainers="Zoé Durand <zoe.durand@exemple.fr>")
    page = text_of((await organiser.get(f"{path}/historique")).text)
    assert "Formatrices et formateurs Ajouté Zoé Durand" in page
    assert "exemple.fr" not in page
    await send(organiser, path, venue="Lannion", trainers="")
    page = text_of((await organiser.get(f"{path}/historique")).text)
    assert f"par {BRETAGNE} Lieu Avant : Quimper → ; après : Lannion" in page
    assert "Formatrices et formateurs Retiré une personne qui n’est plus nommée" in page
    assert page.index("après : Lannion") < page.index("après : Quimper")
    for by, status in ((CORSE, 404), (ADMIN, 200)):
        await log_in(organiser, by)
        assert (await organiser.get(f"{path}/historique")).status_code == status


async def test_a_long_history_goes_on_on_another_page(
    organiser: HttpBrowser, an_empty_offer: str, database: Database
) -> None:
    path = await created(organiser, an_empty_offer)
    subject, changed = UUID(path.rsplit("/", 1)[1]), Action.CHANGED
    entries = [AuditEntry("compte", changed, subject, n, {"capacity": [n, n + 1]}) for n in range(2, 42)]
    async with database.transaction() as tx:
        await audit_log.record(tx, entries)
    numbers, address = [], f"{path}/historique"
    for way in ("next", "prev"):
        page = (await organiser.get(address)).text
        numbers.append(re.findall(r"après : (\d+)", text_of(page)))
        address = unescape(re.findall(rf'rel="{way}" href="([^"]+)"', page)[0])
    assert [int(number) for number in numbers[0] + numbers[1]][:40] == list(range(42, 2, -1))
    assert re.findall(r"après : (\d+)", text_of((await organiser.get(address)).text)) == numbers[0]
