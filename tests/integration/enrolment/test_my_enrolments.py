"""The page of an agent's enrolments: theirs alone, as they stand now, each with what can be done about it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from icalendar import Calendar

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    Swap,
    Withdrawal,
)
from services.enrolment.service import corrections, requests
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import AgentCorrection
from shared import clock, qr_codes
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionCancelled, SessionState
from shared.events.vocabulary import Agent, Status
from shared.web.links import ARRIVAL, Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.organising import BRETAGNE, of
from tests.integration.enrolment.visiting import KEY, letter, links, page, path
from tests.support.builders import an_agent, open_now

PUBLIC = "https://parcours.example"


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url=PUBLIC)
    return it


def under(text: str, title: str) -> str:
    """What stands on the page about the session with this title."""
    return text.split(f">{title}<", 1)[1].split("<h3>", 1)[0]


async def test_every_enrolment_of_the_agent_is_there_and_nobody_elses(front: Front, ask: Ask) -> None:
    agent = an_agent()
    namesake = agent.model_copy(update={"issuer": "another"})
    sessions = [open_now(title=title) for title in ("Le premier", "Le second", "Un autre")]
    await front.publish(*sessions)
    await front.enrol(sessions[0], agent, an_agent())
    await front.enrol(sessions[1], agent)
    await front.enrol(sessions[2], namesake)

    text = page(
        await ask("GET", await letter(front, Purpose.ENROLMENTS, sessions[0], agent)), 200, "Mes inscriptions"
    )

    assert ("Le premier" in text, "Le second" in text, "Un autre" in text) == (True, True, False)
    for personal in (agent.family_name, agent.email, agent.agent_id):
        assert personal not in text


async def test_the_place_in_line_is_the_one_of_now(front: Front, ask: Ask) -> None:
    session = open_now(capacity=1, title="Complète")
    first, second, agent = an_agent(), an_agent(), an_agent()
    await front.publish(session)
    await front.enrol(session, first, second, agent)
    link = await letter(front, Purpose.ENROLMENTS, session, agent)
    assert "<strong>2e</strong>" in under((await ask("GET", link)).text, "Complète")

    await front.withdraw(session, second)

    assert "<strong>1re</strong>" in under((await ask("GET", link)).text, "Complète")


async def test_who_waits_with_a_group_sees_the_place_of_the_group(front: Front, ask: Ask) -> None:
    session = open_now(capacity=2, title="Complète", waiting_list="automatic")
    group, behind = (an_agent(), an_agent()), an_agent()
    await front.publish(session)
    await front.enrol(session, an_agent(), an_agent())
    asked = uuid4(), clock.now(), session.session_id
    await front.answer(GroupRequest(*asked, group, all_or_nothing=True, may_wait=True))
    await front.enrol(session, behind)

    for agent, place, together in ((group[1], "1re", True), (behind, "2e", False)):
        link = await letter(front, Purpose.ENROLMENTS, session, agent)
        shown = under((await ask("GET", link)).text, "Complète")
        assert f"<strong>{place}</strong>" in shown
        assert ("C’est la position de votre groupe" in shown) == together


async def test_what_waits_for_an_answer_is_first_and_what_is_past_is_folded(front: Front, ask: Ask) -> None:
    agent, other = an_agent(), an_agent()
    soon, offered, left = (
        open_now(title="Bientôt"),
        open_now(title="Proposée", capacity=1, waiting_list="offer"),
        open_now(title="Quittée"),
    )
    await front.publish(soon, offered, left)
    await front.enrol(soon, agent)
    await front.enrol(offered, other, agent)
    await front.withdraw(offered, other)
    await front.enrol(left, agent)
    await front.withdraw(left, agent)

    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, left, agent))).text

    places = [text.index(f">{title}<") for title in ("Proposée", "Bientôt")]
    folded = text.index("Inscriptions passées")
    assert places == sorted(places)
    assert places[-1] < folded < text.index(">Quittée<")
    assert text.index("Votre réponse est attendue") < places[0] < text.index("À venir") < places[1]


async def test_a_session_cancelled_under_way_is_past_and_in_no_agenda(front: Front, ask: Ask) -> None:
    """Rule 11: attendance stays, and what did not take place is not to come any more."""
    start, agent = datetime.now(UTC) - timedelta(days=1), an_agent()
    modules = [
        {
            "title": title,
            "starts_at": start + timedelta(days=3 * day),
            "ends_at": start + timedelta(days=3 * day, hours=3),
        }
        for day, title in enumerate(("Lundi", "Jeudi"))
    ]
    session = open_now(title="Interrompue", modules=modules)
    await front.publish(session)
    await front.enrol(session, agent)
    dates = {"starts_at": start, "ends_at": start + timedelta(days=4)}
    begun = session.model_copy(update={"version": 2, **dates})
    await front.publish(begun)
    record = {"agent_id": agent.agent_id, "module": 1, "attendance": "attended"}
    answer = await ask("POST", of(begun, "attendance"), by=BRETAGNE, json={"records": [record]})
    assert answer.status_code == 200
    state = begun.model_dump() | {"version": 3, "status": Status.CANCELLED}
    await front.publish(SessionCancelled(**state, cancellation_reason="Salle <fermée>."))

    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text

    assert ">Interrompue<" in text.split("Inscriptions passées", 1)[1]
    assert "La session a été annulée&nbsp;; votre présence reste enregistrée." in under(text, "Interrompue")
    assert "L’organisateur écrit&nbsp;:" in under(text, "Interrompue")
    assert "<blockquote>\n<p>Salle &lt;fermée&gt;.</p>" in under(text, "Interrompue")
    page(
        await ask("GET", await letter(front, Purpose.CALENDAR, session, agent)),
        410,
        "Rien à mettre dans votre agenda",
    )


async def test_who_has_a_seat_somewhere_has_a_code_that_says_nothing_of_them(front: Front, ask: Ask) -> None:
    agent, there, online = (
        an_agent(),
        open_now(title="Sur place", venue="Rennes"),
        open_now(title="En ligne", venue=None),
    )
    later = clock.now() + timedelta(days=32)
    far_off = open_now(title="Plus tard", venue="Rennes", starts_at=later, ends_at=later + timedelta(hours=7))
    sessions = (there, online, far_off)
    await front.publish(*sessions)
    for session in sessions:
        await front.enrol(session, agent)
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, there, agent))).text
    drawn = under(text, "Sur place")
    assert 'role="img" aria-label="Code à montrer à l’accueil"' in drawn
    assert "style=" not in drawn  # the pages' policy
    is_later = "Le code à montrer à l’accueil s’affichera ici un mois avant la session."
    assert is_later not in drawn
    for title, comes in (("En ligne", False), ("Plus tard", True)):
        assert 'role="img"' not in under(text, title)
        assert (is_later in under(text, title)) is comes
    address = f"{PUBLIC}{ARRIVAL}/{(await front.of(there, agent)).enrolment_id}"
    assert str(qr_codes.svg(address, "Code à montrer à l’accueil")) in drawn


async def test_its_links_lead_to_the_answer_and_to_the_withdrawal(front: Front, ask: Ask) -> None:
    agent, other = an_agent(), an_agent()
    seat, offered = open_now(title="Place"), open_now(title="Proposée", capacity=1, waiting_list="offer")
    await front.publish(seat, offered)
    await front.enrol(seat, agent)
    await front.enrol(offered, other, agent)
    await front.withdraw(offered, other)
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, seat, agent))).text

    [withdrawal] = re.findall(f'href="{PUBLIC}({Purpose.WITHDRAW.value}/[^"]*)"', under(text, "Place"))
    [answer] = re.findall(f'href="{PUBLIC}({Purpose.OFFER.value}/[^"]*)"', under(text, "Proposée"))
    page(await ask("POST", answer, data={"reponse": "oui"}), 200, "Votre place est confirmée")
    shown = page(
        await ask("POST", withdrawal, data={"confirmer": "oui"}), 200, "Votre désistement est enregistré"
    )

    assert await front.states(seat, agent) == ["withdrawn"]
    assert await front.states(offered, agent) == ["enrolled"]
    [back] = re.findall(f'href="{PUBLIC}({Purpose.ENROLMENTS.value}/[^"]*)"', shown)
    assert "Désistement enregistré" in under((await ask("GET", back)).text, "Place")


async def test_from_an_answer_to_an_offer_one_comes_back_as_from_a_withdrawal(front: Front, ask: Ask) -> None:
    agent, other = an_agent(), an_agent()
    offered = open_now(title="Proposée", capacity=1, waiting_list="offer")
    await front.publish(offered)
    await front.enrol(offered, other, agent)
    await front.withdraw(offered, other)
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, offered, agent))).text
    [answer] = re.findall(f'href="{PUBLIC}({Purpose.OFFER.value}/[^"]*)"', text)

    asked, done = await ask("GET", answer), await ask("POST", answer, data={"reponse": "oui"})

    for answered in (asked, done):
        assert "Toutes mes inscriptions" in answered.text
        [back] = re.findall(f'href="{PUBLIC}({Purpose.ENROLMENTS.value}/[^"]*)"', answered.text)
        page(await ask("GET", back), 200, "Mes inscriptions")


async def test_nothing_is_offered_that_the_rules_would_refuse(front: Front, ask: Ask) -> None:
    now, agent = datetime.now(UTC), an_agent()
    session = open_now(title="Commencée")
    await front.publish(session)
    await front.enrol(session, agent)
    begun = session.model_copy(
        update={"version": 2, "starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=5)}
    )
    await front.publish(begun)

    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text

    assert Purpose.WITHDRAW.value not in text
    assert ">Commencée<" in text.split("Inscriptions passées")[0]


@pytest.mark.parametrize(("minimum", "is_shown"), [(3, True), (1, False), (None, False)])
async def test_who_takes_part_sees_that_too_few_do_and_it_is_to_be_decided(
    front: Front, ask: Ask, minimum: int | None, is_shown: bool
) -> None:
    """Rule 15, also in a private session, which no public page shows."""
    session, agent = open_now(title="Trop peu", minimum=minimum), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    link = await letter(front, Purpose.ENROLMENTS, session, agent)
    assert "doit encore décider" not in (await ask("GET", link)).text, "enrolment is open"
    closed = {"version": 2, "enrolment_closes_at": datetime.now(UTC) - timedelta(minutes=1)}
    await front.publish(session.model_copy(update=closed))
    assert ("doit encore décider" in under((await ask("GET", link)).text, "Trop peu")) is is_shown


async def test_why_a_request_was_refused_stands_beside_it(front: Front, ask: Ask) -> None:
    agent = an_agent()
    session = open_now(title="Complète", capacity=0, waiting_list="none")
    await front.publish(session)
    await front.enrol(session, agent)
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text
    assert "Demande non acceptée (session complète" in under(text, "Complète")


RENNES = "21350238800019"


@pytest.mark.parametrize(
    ("ending", "label"),
    [
        ("withdrawal", "Désistement enregistré"),
        ("employer", "Votre employeur a mis fin à l’inscription"),
        ("replaced", "Votre employeur a mis fin à l’inscription"),
        ("moved", "Vous avez changé de session"),
        ("joined", "Une autre de vos inscriptions à cette session est gardée"),
    ],
)
async def test_the_page_says_how_an_enrolment_ended(front: Front, ask: Ask, ending: str, label: str) -> None:
    """As the letter says it: not everybody who takes part no more has withdrawn."""
    agent, colleague = an_agent(), an_agent()
    session, other = open_now(title="Finie"), open_now(title="Autre")
    if ending == "replaced":
        session = open_now(title="Finie", format="bespoke", audience={"sirets": [RENNES]})
    await front.publish(session, other)
    if ending == "replaced":
        await front.answer(Nomination(uuid4(), clock.now(), session.session_id, (agent, colleague), RENNES))
    else:
        await front.enrol(session, agent)
    later = uuid4(), clock.now(), session.session_id
    endings: dict[str, Request] = {
        "withdrawal": Withdrawal(*later, agent.key, None),
        "employer": Withdrawal(*later, agent.key, None, by_employer=True),
        "replaced": Nomination(*later, (colleague,), RENNES),
        "moved": Swap(*later, agent.key, other.session_id),
        "joined": Withdrawal(*later, agent.key, None, joined_to=uuid4()),
    }
    await front.answer(endings[ending])
    assert await front.states(session, agent) == ["withdrawn"]

    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text

    assert f"<span>{label}</span>" in under(text, "Finie")


async def test_what_happened_to_an_enrolment_is_folded_below_it(front: Front, ask: Ask) -> None:
    session = open_now(title="Complète", capacity=1, waiting_list="offer")
    first, agent = an_agent(), an_agent()
    await front.publish(session)
    await front.enrol(session, first, agent)
    link = await letter(front, Purpose.ENROLMENTS, session, agent)
    assert "Ce qui s’est passé" not in under((await ask("GET", link)).text, "Complète")

    await front.withdraw(session, first)
    await front.answer(OfferAnswer(uuid4(), clock.now(), session.session_id, agent.key, accepted=True))

    shown = under((await ask("GET", link)).text, "Complète")
    timeline = shown.split("Ce qui s’est passé", 1)[1]
    assert re.findall("<li[^>]*><p><strong>(.+?)</strong></p>", timeline) == [
        "Demande reçue",
        "Une place vous est proposée",
        "Inscription confirmée",
    ]


async def test_the_page_leads_to_what_its_reader_follows(front: Front, ask: Ask) -> None:
    """By the enrolment and the mark of the address: only the notifier knows who follows what."""
    session, agent = open_now(), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text
    [token] = re.findall(f'href="{PUBLIC}{Purpose.SUBSCRIPTIONS.value}/([^"]*)"', text)
    enrolment_id, mark, *_ = links().read(Purpose.SUBSCRIPTIONS, token, clock.now()).ids
    assert enrolment_id == str((await front.of(session, agent)).enrolment_id)
    assert links().is_mark_of(int(mark), agent.email)


async def test_the_address_to_join_is_on_no_page(front: Front, ask: Ask) -> None:
    agent = an_agent()
    session = open_now(format="webinar", venue=None, join_url="https://visio.example/secret")
    await front.publish(session)
    await front.enrol(session, agent)
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text
    assert "En ligne" in text
    assert "visio.example" not in text


async def test_a_link_that_expired_or_is_for_something_else_opens_nothing(front: Front, ask: Ask) -> None:
    session, agent = open_now(), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    old = path(Purpose.ENROLMENTS, enrolment_id, until=datetime.now(UTC) - timedelta(seconds=1))
    page(await ask("GET", old), 410, "Ce lien a expiré")
    other = path(Purpose.WITHDRAW, enrolment_id).replace(Purpose.WITHDRAW.value, Purpose.ENROLMENTS.value)
    assert (await ask("GET", other)).status_code == 404


async def test_enrolments_with_another_address_are_on_another_page(front: Front, ask: Ask) -> None:
    """A former mailbox, or one that another portal names, has had no letter about them."""
    before = an_agent(email="zoe@ancienne.fr")
    after = before.model_copy(update={"email": "zoe@nouvelle.fr"})
    old, new = open_now(title="Ancienne"), open_now(title="Nouvelle")
    await front.publish(old, new)
    await front.enrol(old, before)
    await front.enrol(new, after)

    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, old, before))).text

    assert (">Ancienne<" in text, ">Nouvelle<" in text) == (True, False)


async def correct(front: Front, database: Database, session: SessionState, agent: Agent) -> Agent:
    """Have an organiser correct the agent's address. Returns the agent as they are then."""
    enrolment_id = (await front.of(session, agent)).enrolment_id
    organiser = Principal(name="advisor", role=Role.ORGANISER, delegation="bretagne")
    right = {"email": "zoe@exemple.fr"}
    async with database.transaction() as tx:
        acting = Acting(tx, organiser, Policy(), datetime.now(UTC))
        await corrections.correct_by_organiser(acting, enrolment_id, AgentCorrection.model_validate(right))
    return agent.model_copy(update=right)


async def test_a_link_that_was_written_to_a_wrong_address_opens_nothing_once_it_is_corrected(
    front: Front, ask: Ask, database: Database
) -> None:
    """Whenever it was written: a letter may leave while the correction is on its way."""
    session, agent = open_now(title="Session"), an_agent(email="faute@exemple.fr")
    await front.publish(session)
    await front.enrol(session, agent)
    wrong = await letter(front, Purpose.ENROLMENTS, session, agent)
    shown = (await ask("GET", wrong)).text
    on_page = re.findall(f'href="{PUBLIC}({Purpose.WITHDRAW.value}/[^"]*|{Purpose.MOVE.value}/[^"]*)"', shown)
    assert len(on_page) == 2
    of_letters = [await letter(front, purpose, session, agent) for purpose in OF_LETTERS]

    corrected = await correct(front, database, session, agent)

    for link in (wrong, *on_page, *of_letters):
        text = page(await ask("GET", link), 410, "Ce lien ne s’ouvre plus")
        assert ">Session<" not in text
    for link in on_page:
        answers = {"confirmer": "oui", "session": str(session.session_id)}
        page(await ask("POST", link, data=answers), 410, "Ce lien ne s’ouvre plus")
    assert await front.states(session, agent) == ["enrolled"]
    anyhow = corrected.model_copy(update={"email": "ZOE@exemple.fr"})
    assert ">Session<" in (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, anyhow))).text


OF_LETTERS = [Purpose.WITHDRAW, Purpose.MOVE, Purpose.OFFER, Purpose.CERTIFICATE, Purpose.CALENDAR]


async def test_the_link_of_an_offer_that_lies_in_a_wrong_mailbox_takes_and_leaves_no_seat(
    front: Front, ask: Ask, database: Database
) -> None:
    session, other, agent = open_now(capacity=1, waiting_list="offer"), an_agent(), an_agent()
    await front.publish(session)
    await front.enrol(session, other, agent)
    await front.withdraw(session, other)
    wrong = await letter(front, Purpose.OFFER, session, agent)

    corrected = await correct(front, database, session, agent)

    for answer in ("oui", "non"):
        page(await ask("POST", wrong, data={"reponse": answer}), 410, "Ce lien ne s’ouvre plus")
    assert await front.states(session, agent) == ["offered"]
    right = await letter(front, Purpose.OFFER, session, corrected)
    page(await ask("POST", right, data={"reponse": "oui"}), 200, "Votre place est confirmée")


@pytest.mark.parametrize("purpose", [Purpose.WITHDRAW, Purpose.MOVE])
async def test_whoever_comes_back_to_the_page_comes_back_no_longer_than_the_letters_link_opens(
    front: Front, ask: Ask, purpose: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(days=900)
    session = open_now(title="Session", starts_at=later, ends_at=later + timedelta(hours=6))
    agent, end = an_agent(), clock.now() + timedelta(days=180)
    await front.publish(session)
    await front.enrol(session, agent)
    link = await letter(front, Purpose.ENROLMENTS, session, agent, until=end)

    async def hop(link: str, now: datetime) -> str:
        """Go to the page, on from there, and back: where that leads."""
        monkeypatch.setattr(clock, "now", lambda: now)
        [there] = re.findall(f'href="{PUBLIC}({purpose.value}/[^"]*)"', (await ask("GET", link)).text)
        [back] = re.findall(
            f'href="{PUBLIC}({Purpose.ENROLMENTS.value}/[^"]*)"', (await ask("GET", there)).text
        )
        return str(back)

    back = await hop(link, end - timedelta(hours=2))
    back = await hop(back, end - timedelta(hours=1))

    monkeypatch.setattr(clock, "now", lambda: end + timedelta(seconds=1))
    page(await ask("GET", back), 410, "Ce lien a expiré")


async def test_who_was_refused_for_a_session_that_nobody_knows_sees_their_other_enrolments(
    front: Front, ask: Ask, database: Database
) -> None:
    session, unknown, agent = open_now(title="Connue"), open_now(), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    await front.enrol(unknown, agent)
    async with database.transaction() as tx:
        await requests.refuse_unknown(tx, clock.now() + timedelta(hours=1), clock.now())
    assert await front.states(unknown, agent) == ["refused"]

    text = page(
        await ask("GET", await letter(front, Purpose.ENROLMENTS, unknown, agent)), 200, "Mes inscriptions"
    )

    assert ">Connue<" in text


async def the_calendar(front: Front, ask: Ask, session: SessionState, agent: Agent) -> list[Any]:
    """The entries of the calendar that "Mes inscriptions" leads to."""
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text
    [link] = re.findall(f'href="{PUBLIC}({Purpose.CALENDAR.value}/[^"]*)"', text)
    answer = await ask("GET", link)
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="mes-formations.ics"'
    assert answer.headers["cache-control"] == "no-store"
    calendar = Calendar.from_ical(answer.content)
    assert [str(zone["tzid"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Paris"]
    return list(calendar.walk("VEVENT"))


async def test_the_calendar_has_what_is_live_and_the_address_to_join_for_who_has_a_seat_alone(
    front: Front, ask: Ask
) -> None:
    agent, link = an_agent(), "https://visio.example/secret"
    online = {"format": "webinar", "venue": None, "join_url": link}
    seat, full = (
        open_now(title="Assise", **online),
        open_now(title="Complète", capacity=1, waiting_list="automatic", **online),
    )
    left, others = open_now(title="Quittée"), open_now(title="Une autre")
    await front.publish(seat, full, left, others)
    await front.enrol(full, an_agent(), agent)
    for session in (seat, left):
        await front.enrol(session, agent)
    await front.withdraw(left, agent)
    await front.enrol(others, an_agent())

    events = await the_calendar(front, ask, seat, agent)

    by_title = {str(event["summary"]): event for event in events}
    assert set(by_title) == {"Assise", "Sur la liste d’attente : Complète"}
    assert (str(by_title["Assise"]["url"]), str(by_title["Assise"]["status"])) == (link, "CONFIRMED")
    waiting = by_title["Sur la liste d’attente : Complète"]
    assert (str(waiting["location"]), str(waiting["status"])) == ("En ligne", "TENTATIVE")
    assert link not in waiting.to_ical().decode()


async def test_its_entries_are_those_that_letters_put_in_and_take_out(front: Front, ask: Ask) -> None:
    """As the notifier writes them: by the enrolment, the séance, and what was decided last."""
    start, agent = datetime.now(UTC) + timedelta(days=30), an_agent()
    modules = [
        {
            "title": title,
            "starts_at": start + timedelta(days=day),
            "ends_at": start + timedelta(days=day, hours=3),
        }
        for day, title in enumerate(("Matin", "Soir"))
    ]
    session = open_now(version=3, starts_at=start, ends_at=start + timedelta(days=2), modules=modules)
    await front.publish(session)
    await front.enrol(session, agent)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    events = await the_calendar(front, ask, session, agent)
    assert [(str(event["uid"]), int(event["sequence"])) for event in events] == [
        (f"{enrolment_id}-1", 10_003),
        (f"{enrolment_id}-2", 10_003),
    ]


async def test_a_seance_keeps_its_entry_whatever_is_added_or_dropped_around_it(
    front: Front, ask: Ask
) -> None:
    """As in letters (ADR 0014): else an agenda would have it twice, once by each of the two."""
    start, agent = datetime.now(UTC) + timedelta(days=30), an_agent()
    first, second, third = (
        {
            "title": title,
            "starts_at": start + timedelta(days=day),
            "ends_at": start + timedelta(days=day, hours=3),
        }
        for day, title in enumerate(("Matin", "Midi", "Soir"))
    )
    dates = {"starts_at": start, "ends_at": start + timedelta(days=3)}
    session = open_now(**dates, modules=[second, third])
    await front.publish(session)
    await front.enrol(session, agent)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    for version, modules in ((2, [first, second, third]), (3, [first, third])):
        changed = open_now(**dates, session_id=session.session_id, version=version, modules=modules)
        await front.publish(changed)

    entries = await the_calendar(front, ask, session, agent)

    assert {str(entry["summary"]).split(" : ")[1]: str(entry["uid"]) for entry in entries} == {
        "Matin": f"{enrolment_id}-3",
        "Soir": f"{enrolment_id}-2",
    }


async def test_who_has_nothing_to_come_is_told_so_and_gets_no_empty_calendar(front: Front, ask: Ask) -> None:
    session, agent = open_now(), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    await front.withdraw(session, agent)
    page(
        await ask("GET", await letter(front, Purpose.CALENDAR, session, agent)),
        410,
        "Rien à mettre dans votre agenda",
    )


async def test_a_letters_link_to_an_offer_leads_to_that_offer_alone(front: Front, ask: Ask) -> None:
    session, other, agent = open_now(capacity=1, waiting_list="offer"), an_agent(), an_agent()
    await front.publish(session)
    await front.enrol(session, other, agent)
    await front.withdraw(session, other)
    version = (await front.of(session, agent)).version
    enrolment_id, mark = (await front.of(session, agent)).enrolment_id, links().mark(agent.email)
    link = path(Purpose.OFFER, enrolment_id, mark, version)
    assert Purpose.ENROLMENTS.value not in (await ask("GET", link)).text


async def test_a_letters_link_to_withdraw_leads_to_that_enrolment_alone(front: Front, ask: Ask) -> None:
    session, agent = open_now(), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    link = await letter(front, Purpose.WITHDRAW, session, agent)
    asked, done = await ask("GET", link), await ask("POST", link, data={"confirmer": "oui"})
    assert Purpose.ENROLMENTS.value not in asked.text + done.text
