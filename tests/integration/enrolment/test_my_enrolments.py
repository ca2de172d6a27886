"""What agents do by the links of letters: opening a link changes nothing, and the rules decide each answer.

The page of an agent's enrolments shows the agent's own alone, each as it stands now with what can be done.
"""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from icalendar import Calendar

from services.enrolment.rules.requests import GroupRequest
from services.enrolment.service import requests
from shared import clock, qr_codes
from shared.database import Database
from shared.events.catalogue import SessionCancelled, SessionState
from shared.events.vocabulary import Agent, Status
from shared.web.links import ARRIVAL, LOST_LINK, Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.organising import BRETAGNE
from tests.integration.enrolment.visiting import (
    KEY,
    PUBLIC,
    an_offer,
    enrolled,
    letter,
    links,
    onward,
    page,
    path,
)
from tests.support.builders import an_agent, open_now

CONFIRM = {"confirmer": "oui"}


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url=PUBLIC)
    return it


async def my_enrolments(front: Front, ask: Ask, session: SessionState, agent: Agent) -> str:
    answer = await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))
    return page(answer, 200, "Mes inscriptions")


def under(text: str, title: str) -> str:
    """The part of the page about the session with this title."""
    return text.split(f">{title}<", 1)[1].split("<h3>", 1)[0]


async def correct(ask: Ask, front: Front, session: SessionState, agent: Agent, address: str) -> None:
    """Have an organiser correct the agent's address."""
    path = f"/api/v1/enrolments/{(await front.of(session, agent)).enrolment_id}/agent"
    assert (await ask("PATCH", path, by=BRETAGNE, json={"email": address})).status_code == 200


# ------------------------------------------------------------------------------------------- offers


async def test_neither_an_opened_link_nor_an_unclear_reply_answers_an_offer(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front, title="L’IA & <vous>")
    for method in ("GET", "HEAD"):
        assert (await ask(method, link)).status_code == 200
    unclear: list[dict[str, str]] = [{}, {"answer": "oui"}, {"reponse": "peut-être"}]
    pages = [page(await ask("POST", link, data=form), 422, "Une place s’est libérée") for form in unclear]
    shown = pages[-1]
    assert "L’IA &amp; &lt;vous&gt;" in shown
    hidden = (agent.family_name, agent.email, agent.agent_id, Purpose.ENROLMENTS.value)
    assert [each for each in hidden if each in shown] == []
    assert await front.states(session, agent) == ["offered"]


@pytest.mark.parametrize(
    ("reply", "states", "title"),
    [
        ("oui", ["enrolled", "waitlisted"], "Cette place est déjà la vôtre"),
        ("non", ["lapsed", "offered"], "Vous avez déjà laissé cette place"),
    ],
)
async def test_an_offer_is_answered_once(
    front: Front, ask: Ask, reply: str, states: list[str], title: str
) -> None:
    session, agent, link = await an_offer(front)
    await front.enrol(session, following := an_agent())
    assert (await ask("POST", link, data={"reponse": reply})).status_code == 200
    for again in ("oui", "non"):
        page(await ask("POST", link, data={"reponse": again}), 410, title)
    assert await front.states(session, agent, following) == states


async def test_of_six_answers_at_once_one_counts(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    replies = ("oui", "non") * 3
    answers = await asyncio.gather(*(ask("POST", link, data={"reponse": reply}) for reply in replies))
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 5
    accepted = next("confirmée" in answer.text for answer in answers if answer.status_code == 200)
    assert await front.states(session, agent) == ["enrolled" if accepted else "lapsed"]


async def test_the_link_of_an_older_offer_never_answers_a_newer_one(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    sooner = session.starts_at - timedelta(days=27)  # in three days: the offer must end before
    moved = {"starts_at": sooner, "enrolment_closes_at": sooner - timedelta(hours=1)}
    await front.change(session, **moved)
    page(await ask("GET", link), 410, "Cette proposition a été remplacée")
    page(await ask("POST", link, data={"reponse": "oui"}), 410, "Cette proposition a été remplacée")
    assert await front.states(session, agent) == ["offered"]
    newer = await letter(front, Purpose.OFFER, session, agent)
    assert (await ask("POST", newer, data={"reponse": "oui"})).status_code == 200


# ------------------------------------------------------------------------------------------- withdrawals


async def test_an_agent_withdraws_by_the_button_alone_and_once_and_the_next_one_has_the_seat(
    front: Front, ask: Ask
) -> None:
    session, agent, link = await enrolled(front, capacity=1)
    await front.enrol(session, following := an_agent())
    asked = [await ask("GET", link), await ask("POST", link, data={})]
    assert await front.states(session, agent, following) == ["enrolled", "waitlisted"]
    done = await ask("POST", link, data=CONFIRM)
    assert [answer.status_code for answer in (*asked, done)] == [200, 200, 200]
    assert Purpose.ENROLMENTS.value not in asked[0].text + done.text, "a letter's link opens nothing else"
    assert await front.states(session, agent, following) == ["withdrawn", "enrolled"]
    page(await ask("POST", link, data=CONFIRM), 410, "Cette inscription a déjà pris fin")


async def test_the_link_of_an_ended_enrolment_does_not_end_the_next_one(front: Front, ask: Ask) -> None:
    session, agent, link = await enrolled(front)
    await front.withdraw(session, agent)
    await front.enrol(session, agent)
    assert (await ask("POST", link, data=CONFIRM)).status_code == 410
    assert await front.states(session, agent) == ["enrolled"]


# ------------------------------------------------------------------------------------------- bad links

ABOUT: dict[Purpose, tuple[UUID | int, ...]] = {
    Purpose.OFFER: (uuid4(), 2),
    Purpose.WITHDRAW: (uuid4(),),
    Purpose.CERTIFICATE: (uuid4(),),
    Purpose.ENROLMENTS: (uuid4(),),
}


@pytest.mark.parametrize("purpose", ABOUT)
async def test_a_forged_expired_or_outlived_link_opens_nothing(ask: Ask, purpose: Purpose) -> None:
    another = path(Purpose.CALENDAR, *ABOUT[purpose]).removeprefix(Purpose.CALENDAR.value)
    for forged in (
        path(purpose, *ABOUT[purpose], key="another key of thirty-two characters for tests"),
        purpose.value + another,
        f"{purpose.value}/é",
        path(purpose, "nobody", "2"),
        path(purpose, uuid4(), 1, "two"),
        f"{purpose.value}/{'x' * 20_000}",
    ):
        page(await ask("GET", forged), 404, "Ce lien n’est pas valable")
    expired = path(purpose, *ABOUT[purpose], until=datetime.now(UTC))
    assert (await ask("GET", expired)).status_code == 410
    page(await ask("GET", path(purpose, *ABOUT[purpose])), 410, "Cette inscription n’existe plus")


async def test_without_a_signing_key_no_link_is_known(asking: Any) -> None:
    without: Ask = asking()
    page(await without("GET", path(Purpose.WITHDRAW, uuid4())), 404, "Ce lien n’est pas valable")


async def test_a_page_says_that_the_database_is_away(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("services.enrolment.store.enrolments.find", away)
    answer = await ask("GET", path(Purpose.WITHDRAW, uuid4()))
    page(answer, 503, "Le service est momentanément indisponible")


async def test_once_an_address_is_corrected_the_links_to_the_wrong_one_open_and_change_nothing(
    front: Front, ask: Ask
) -> None:
    """Also those that were written later: a letter may leave while the correction is on its way."""
    session, agent, withdrawal = await enrolled(front, title="Session")
    offered, _, offer = await an_offer(front, agent)
    shown = under(await my_enrolments(front, ask, session, agent), "Session")
    acts = [withdrawal, offer, *(onward(shown, each) for each in (Purpose.WITHDRAW, Purpose.MOVE))]
    others = (Purpose.ENROLMENTS, Purpose.CERTIFICATE, Purpose.CALENDAR)
    reads = [await letter(front, purpose, session, agent) for purpose in others]

    await correct(ask, front, session, agent, "zoe@exemple.fr")

    form = CONFIRM | {"reponse": "oui", "session": str(session.session_id)}
    answers = [await ask("GET", link) for link in reads] + [
        await ask("POST", link, data=form) for link in acts
    ]
    for answer in answers:
        assert ">Session<" not in page(answer, 410, "Ce lien ne s’ouvre plus")
    assert await front.states(session, agent) + await front.states(offered, agent) == ["enrolled", "offered"]
    right = agent.model_copy(update={"email": "ZOE@exemple.fr"})
    assert (await ask("GET", await letter(front, Purpose.ENROLMENTS, offered, right))).status_code == 403


# ------------------------------------------------------------------------------------------- the page


async def test_the_page_has_the_enrolments_of_the_agent_with_this_address_alone(
    front: Front, ask: Ask
) -> None:
    """Another mailbox of the agent, such as a former one, had no letter about the enrolments elsewhere."""
    agent, titles = an_agent(), ("Le premier", "Le second", "D’une autre adresse", "D’un autre portail")
    others = [
        agent.model_copy(update=change) for change in ({"email": "zoe@ancienne.fr"}, {"issuer": "another"})
    ]
    sessions = [
        await front.open(there, title=title, join_url="https://visio.example/secret")
        for there, title in zip((agent, agent, *others), titles, strict=True)
    ]
    shown = await my_enrolments(front, ask, sessions[0], agent)
    private = (*titles[2:], agent.family_name, agent.email, agent.agent_id, "visio.example")
    assert [each for each in (*titles, *private) if each in shown] == ["Le premier", "Le second"]


async def test_the_place_in_line_is_the_present_one_and_a_group_has_one_place(front: Front, ask: Ask) -> None:
    group, behind = (an_agent(), an_agent()), an_agent()
    session = await front.open(an_agent(), an_agent(), capacity=2, title="Complète")
    asked = uuid4(), clock.now(), session.session_id
    await front.answer(GroupRequest(*asked, group, all_or_nothing=True, may_wait=True))
    await front.enrol(session, behind)
    pages = [await my_enrolments(front, ask, session, agent) for agent in (group[1], behind)]
    for agent in group:
        await front.withdraw(session, agent)
    pages.append(await my_enrolments(front, ask, session, behind))
    places = [re.findall("<strong>(.*?)</strong>", under(shown, "Complète"))[0] for shown in pages]
    assert places == ["1re", "2e", "1re"]


async def test_past_enrolments_come_last_with_what_ended_them_and_offer_nothing(
    front: Front, ask: Ask
) -> None:
    session, agent, _ = await enrolled(front, title="Refusée", capacity=0, waiting_list="none")
    begun = await front.open(agent, title="Commencée", starts_at=clock.now() - timedelta(hours=1))
    cut_short = await front.open(agent, title="Interrompue")
    state = cut_short.model_dump() | {"version": 2, "status": Status.CANCELLED}
    await front.publish(SessionCancelled(**state, cancellation_reason="Salle <fermée>."))
    shown = await my_enrolments(front, ask, session, agent)
    assert shown.index("Commencée") < shown.index("Inscriptions passées") < shown.index("Refusée")
    assert "session complète" in under(shown, "Refusée")
    assert "<p>Salle &lt;fermée&gt;.</p>" in under(shown, "Interrompue")
    assert [each.value for each in (Purpose.WITHDRAW, Purpose.MOVE) if each.value in shown] == []
    address = f"{PUBLIC}{ARRIVAL}/{(await front.of(begun, agent)).enrolment_id}"
    assert str(qr_codes.svg(address, "Code à montrer à l’accueil")) in under(shown, "Commencée")


async def test_a_calendar_without_sessions_to_come_is_a_page_that_says_so(front: Front, ask: Ask) -> None:
    session, agent, _ = await enrolled(front)
    await front.withdraw(session, agent)
    calendar = await ask("GET", await letter(front, Purpose.CALENDAR, session, agent))
    page(calendar, 410, "Rien à mettre dans votre agenda")


async def test_the_page_leads_to_each_action_and_each_action_leads_back(front: Front, ask: Ask) -> None:
    offered, agent, _ = await an_offer(front, title="Proposée")
    shown = await my_enrolments(front, ask, offered, agent)
    offer, withdrawal = onward(shown, Purpose.OFFER), onward(shown, Purpose.WITHDRAW)
    accepted = await ask("POST", offer, data={"reponse": "oui"})
    answers = [await ask("GET", offer), await ask("GET", withdrawal), accepted]
    answers.append(await ask("POST", withdrawal, data=CONFIRM))
    for answer in answers:
        page(await ask("GET", onward(answer.text, Purpose.ENROLMENTS)), 200, "Mes inscriptions")
    assert await front.states(offered, agent) == ["withdrawn"]


@pytest.mark.parametrize("purpose", [Purpose.WITHDRAW, Purpose.MOVE])
async def test_coming_back_to_the_page_does_not_prolong_the_link_of_the_letter(
    front: Front, ask: Ask, purpose: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, end = datetime.now(UTC) + timedelta(days=900), clock.now() + timedelta(days=180)
    session, agent, _ = await enrolled(front, starts_at=later, ends_at=later + timedelta(hours=6))
    link = await letter(front, Purpose.ENROLMENTS, session, agent, until=end)
    for hours in (2, 1):
        monkeypatch.setattr(clock, "now", lambda hours=hours: end - timedelta(hours=hours))
        there = await ask("GET", onward((await ask("GET", link)).text, purpose))
        link = onward(there.text, Purpose.ENROLMENTS)
    monkeypatch.setattr(clock, "now", lambda: end + timedelta(seconds=1))
    page(await ask("GET", link), 410, "Ce lien a expiré")


async def test_a_log_out_ends_all_links_of_the_log_in(front: Front, ask: Ask) -> None:
    session, agent, _ = await enrolled(front)
    subject = (await front.of(session, agent)).enrolment_id, links().mark(agent.email), 0, 0
    until = (clock.now() + timedelta(hours=1)).replace(microsecond=0)
    link, of_other = (path(Purpose.ENROLMENTS, *subject, log_in, until=until) for log_in in (7, 8))
    of_tab, of_next = (
        path(Purpose.ENROLMENTS, *subject, 7, until=until + timedelta(minutes=each)) for each in (-5, 5)
    )
    of_letter = await letter(front, Purpose.ENROLMENTS, session, agent)
    shown = page(await ask("GET", link), 200, "Mes inscriptions")
    further = {each: onward(shown, each) for each in (Purpose.WITHDRAW, Purpose.CALENDAR, Purpose.ADDRESS)}
    further[Purpose.ENROLMENTS] = onward(
        (await ask("GET", further[Purpose.WITHDRAW])).text, Purpose.ENROLMENTS
    )
    tokens = {purpose: address.rpartition("/")[2] for purpose, address in further.items()}
    assert {links().read(*each, clock.now()).until for each in tokens.items()} == {until}
    assert "Se déconnecter" not in page(await ask("POST", of_letter), 200, "Mes inscriptions")

    ended = page(await ask("POST", link), 200, "Déconnexion réussie")
    assert f'href="{PUBLIC}{LOST_LINK}/deconnexion/{UUID(int=7)}"' in ended
    assert {(await ask("GET", address)).status_code for address in (link, of_tab, *further.values())} == {410}
    assert {(await ask("GET", address)).status_code for address in (of_next, of_other, of_letter)} == {200}


async def test_the_page_leads_to_the_subscriptions_by_the_enrolment_and_the_mark_of_the_address(
    front: Front, ask: Ask
) -> None:
    """Only the notifier knows who follows what."""
    session, agent, _ = await enrolled(front)
    link = onward(await my_enrolments(front, ask, session, agent), Purpose.SUBSCRIPTIONS)
    enrolment_id, mark, *_ = links().read(Purpose.SUBSCRIPTIONS, link.rpartition("/")[2], clock.now()).ids
    assert enrolment_id == str((await front.of(session, agent)).enrolment_id)
    assert links().is_mark_of(int(mark), agent.email)


async def test_a_refusal_for_an_unknown_session_leads_to_the_other_enrolments(
    front: Front, ask: Ask, database: Database
) -> None:
    _, agent, _ = await enrolled(front, title="Connue")
    await front.enrol(unknown := open_now(), agent)
    async with database.transaction() as tx:
        await requests.refuse_unknown(tx, clock.now() + timedelta(hours=1), clock.now())
    assert ">Connue<" in await my_enrolments(front, ask, unknown, agent)


# ------------------------------------------------------------------------------------------- the calendar


async def the_calendar(front: Front, ask: Ask, session: SessionState, agent: Agent) -> dict[str, Any]:
    """The entries of the calendar to which the page leads, by their title."""
    link = onward(await my_enrolments(front, ask, session, agent), Purpose.CALENDAR)
    answer = await ask("GET", link)
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    calendar = Calendar.from_ical(answer.content)
    assert [str(zone["tzid"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Paris"]
    return {str(event["summary"]): event for event in calendar.walk("VEVENT")}


async def test_the_calendar_has_live_enrolments_and_the_address_to_join_for_a_seat_alone(
    front: Front, ask: Ask
) -> None:
    agent, online = an_agent(), {"venue": None, "join_url": "https://visio.example/secret"}
    seat = await front.open(agent, title="Assise", **online)
    await front.open(an_agent(), agent, title="Complète", capacity=1, **online)
    await front.open(an_agent(), title="Une autre")
    await front.withdraw(await front.open(agent, title="Quittée"), agent)
    events = await the_calendar(front, ask, seat, agent)
    assert {title: (str(event["status"]), event.get("url")) for title, event in events.items()} == {
        "Assise": ("CONFIRMED", online["join_url"]),
        "Sur la liste d’attente : Complète": ("TENTATIVE", None),
    }
    assert "visio.example" not in events["Sur la liste d’attente : Complète"].to_ical().decode()


async def test_a_module_keeps_its_entry_whatever_is_added_or_dropped_around_it(
    front: Front, ask: Ask
) -> None:
    """As in the notifier's letters (ADR 0014): else an agenda would have the module twice."""
    start = clock.now() + timedelta(days=30)
    dates = {"starts_at": start, "ends_at": start + timedelta(days=3)}
    first, second, third = (
        {
            "title": title,
            "starts_at": start + timedelta(days=day),
            "ends_at": start + timedelta(days=day, hours=3),
        }
        for day, title in enumerate(("Matin", "Midi", "Soir"))
    )
    session, agent, _ = await enrolled(front, **dates, modules=[second, third])
    for version, modules in ((2, [first, second, third]), (3, [first, third])):
        await front.open(**dates, session_id=session.session_id, version=version, modules=modules)
    entries = await the_calendar(front, ask, session, agent)
    found = {title[-5:]: (str(each["uid"])[-2:], int(each["sequence"])) for title, each in entries.items()}
    assert found == {"Matin": ("-3", 10_003), " Soir": ("-2", 10_003)}
