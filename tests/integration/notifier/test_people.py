"""Support finds a person, and sees what happened to them over all services in one story."""

import re
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from services.notifier.app import eraser
from services.notifier.personal_data import REGISTER, TIMELINE
from shared import clock, personal_data, read_log
from shared.auth import Role
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import (
    AgentDetailsCorrected,
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    EnrolmentRefused,
    EnrolmentWithdrawn,
)
from shared.events.portal import SubscriptionChanged
from shared.events.vocabulary import AgentKey
from shared.messaging.portals.registry import PortalsFile
from shared.personal_data import Subject
from shared.read_log import Reading, ReadKind
from shared.references import reference_of
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_mail_log import OPERATIONS_OF, PURPOSE, browser, log_in, sent, tokens
from tests.integration.notifier.test_read_log import ZOE, reads
from tests.unit.notifier.builders import ENROLMENT_ID, SESSION_ID, a_decision, a_session, an_agent

__all__ = ["browser", "sent", "tokens"]

PEOPLE = "/courriels/suivi/personnes"


async def looked_for(browser: httpx.AsyncClient, key: str, typed: str) -> httpx.Response:
    return await browser.post(PEOPLE, data={"cle": key, "motif": PURPOSE, "cherche": typed})


async def hear_story(notifier: Notifier) -> None:
    """An agent who waited, was seated, came and had it noted; and a correction on the way."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentWaitlisted, position=3))
    await notifier.hear(a_decision(AgentEnrolled, version=2, from_waiting_list=True))
    corrected = {"issuer": "iel", "agent_id": "IEL-0048151", "email": "zoe@ville.example"}
    await notifier.hear(AgentDetailsCorrected.model_validate(corrected | {"corrected_at": clock.now()}))
    await notifier.hear(a_decision(AttendanceRecorded, version=3, attendance="attended", certified=True))
    await notifier.hear(
        SubscriptionChanged(
            agent_id="IEL-0048151", email="zoe@ville.example", subscribed=True, theme="enjeux-ia"
        )
    )


@pytest.mark.parametrize(
    "typed",
    [
        "IEL-0048151",
        "Zoe@Ville.example",
        "zoe.durand@ville-exemple.fr",
        "durand",
        "DURAND Zoe",
        "zoé dur",
        reference_of(ENROLMENT_ID),
    ],
    ids=["identifier", "address", "former address", "name", "both names", "beginnings", "reference"],
)
async def test_a_person_is_found_and_their_story_is_in_order(
    notifier: Notifier, browser: httpx.AsyncClient, typed: str
) -> None:
    await hear_story(notifier)
    key = await log_in(browser)
    page = (await looked_for(browser, key, typed)).text
    assert "<h1>Zoé Durand</h1>" in page
    story = page[page.index('class="timeline"') : page.index("<aside>")]
    titles = re.findall(r"<strong>(?:<a [^>]*>)?([^<]*)<", story)
    happenings = [line for line in titles if not line.startswith("Courriel")]
    assert happenings == [
        "Abonnement aux nouveautés",
        "Présence enregistrée",
        "Coordonnées corrigées",
        "Place obtenue",
        "Mise en liste d’attente",
    ]
    assert "depuis la liste d’attente · Rennes, jeudi 3 avril 2025 (IA et territoires)" in story
    assert [line for line in titles if line.startswith("Courriel")], "letters stand in the same story"
    assert f'<a href="http://catalogue/sessions/{SESSION_ID}">Rennes' in page


async def test_a_story_has_who_of_support_asked_for_a_correction_and_in_which_role_it_was_made(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await hear_story(notifier)
    agent = AgentKey("iel", "IEL-0048151")
    async with notifier.database.transaction() as tx:
        reading = Reading("jeanne du support", Role.SUPPORT, "ticket 12")
        await read_log.record(tx, reading, ReadKind.CORRECTION, agents=[agent], about=[uuid4()])
    values = {**agent._asdict(), "email": "jeanne@ville.example", "corrected_at": clock.now()}
    await notifier.hear(AgentDetailsCorrected.model_validate(values | {"corrected_by": "support"}))
    page = (await looked_for(browser, await log_in(browser), "durand")).text
    story = page[page.index('class="timeline"') : page.index("<aside>")]
    assert "Correction de l’adresse demandée" in story
    assert "jeanne du support" in story
    assert "par l’assistance" in story


async def test_the_page_of_a_person_leads_to_their_erasure(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await hear_story(notifier)
    page = (await looked_for(browser, await log_in(browser), "durand")).text
    form = page[page.index('action="/courriels/suivi/effacement"') :]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[: form.index("</form>")]))
    asked = await browser.post("/courriels/suivi/effacement", data=fields)
    assert "<h1>Effacer les données de Zoé Durand\u00a0?</h1>" in asked.text
    assert "parcours agent export iel IEL-0048151" in page


async def test_a_letter_that_was_sent_again_is_two_mails_and_one_decision(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key = await log_in(browser)
    mail = await sent.row()
    again = await browser.post(f"/courriels/suivi/{mail.mail_id}", data={"cle": key, "decision": "renvoyer"})
    story = (await looked_for(browser, key, mail.recipient)).text
    titles = re.findall(r"<strong>(?:<a [^>]*>)?(Courriel|Décision sur un courriel)", story)
    assert titles.count("Courriel") == 2
    assert titles.count("Décision sur un courriel") == 1
    assert f'sous le numéro <a href="{again.url.path}">' in story


async def test_who_has_a_name_in_common_is_listed_and_one_is_chosen(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    for number, names in enumerate((("Zoé", "Le Goff"), ("Yann", "Le Goff"), ("Zoé", "Legoff"))):
        agent = an_agent(agent_id=f"A-{number}", given_name=names[0], family_name=names[1])
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    key = await log_in(browser)
    listed = await looked_for(browser, key, "le goff")
    assert "<h2>2 personnes</h2>" in listed.text
    assert "A-2" not in listed.text
    chosen = {"cle": key, "motif": PURPOSE, "agent": "A-1", "emetteur": "iel"}
    assert "<h1>Yann Le Goff</h1>" in (await browser.post(PEOPLE, data=chosen)).text
    assert "<h1>Zoé Le Goff</h1>" in (await looked_for(browser, key, "Le-Goff zoe")).text
    assert "Personne ne correspond" in (await looked_for(browser, key, "goff")).text


@pytest.mark.parametrize("typed", ["l'hœr", "L’Hœrité", "l hoer", "L'HOERITE Lætitia", "l'hœrité laet"])
async def test_a_name_is_found_however_its_apostrophe_and_its_letters_are_typed(
    notifier: Notifier, browser: httpx.AsyncClient, typed: str
) -> None:
    for number, family_name in enumerate(("L’Hœrité", "L'Hoerité")):
        agent = an_agent(agent_id=f"A-{number}", given_name="Lætitia", family_name=family_name)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    key = await log_in(browser)
    assert "<h2>2 personnes</h2>" in (await looked_for(browser, key, typed)).text


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("zoe durant", {"Durand"}),
        ("Durent", {"Durand"}),
        ("legoff", {"Le Goff"}),
        ("anne sofie le gauff", {"Le Goff"}),
        ("Jean-François Lefebvre", {"Lefèvre"}),
        ("le fèvre", {"Lefèvre"}),
        ("yann lefebvre", set()),
        ("durazzo", set()),
        ("dur", {"Durand"}),
    ],
)
async def test_a_name_that_was_misheard_leads_to_those_like_it(
    notifier: Notifier, browser: httpx.AsyncClient, typed: str, expected: set[str]
) -> None:
    for number, names in enumerate(
        (("Zoé", "Durand"), ("Anne-Sophie", "Le Goff"), ("Jean-François", "Lefèvre"))
    ):
        agent = an_agent(agent_id=f"A-{number}", given_name=names[0], family_name=names[1])
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    key = await log_in(browser)
    page = (await looked_for(browser, key, typed)).text
    assert {name for name in ("Durand", "Le Goff", "Lefèvre") if f" {name}</" in page} == expected
    assert ("au nom proche" in page) == bool(expected and typed != "dur")
    reads = await notifier.query(
        "SELECT agent_id FROM read_log WHERE kind = 'person' AND agent_id IS NOT NULL"
    )
    assert bool(list(reads)) == bool(expected)


async def test_each_look_at_a_person_is_a_line_and_says_why(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await hear_story(notifier)
    key = await log_in(browser)
    await looked_for(browser, key, "durand")
    await looked_for(browser, key, "nobody@ville.example")
    lines = await notifier.query("SELECT kind, agent_id, purpose, may_name_others FROM read_log ORDER BY id")
    of_people = [tuple(line) for line in lines if line.kind == "person"]
    assert of_people == [
        ("person", "IEL-0048151", PURPOSE, True),
        ("person", "IEL-0048151", PURPOSE, False),
        ("person", None, None, False),
    ]
    assert ("support-name", "person", *ZOE, PURPOSE) in await reads(notifier)
    for unsaid in ({"motif": ""}, {"motif": "x"}, {"cherche": "d"}):
        form = {"cle": key, "motif": PURPOSE, "cherche": "durand"} | unsaid
        refused = await browser.post(PEOPLE, data=form)
        assert refused.status_code == 422
        assert "<h1>Zoé" not in refused.text
    assert (await browser.post(PEOPLE, data={"cherche": "durand", "motif": PURPOSE})).status_code == 403


async def test_where_nobody_is_found_it_says_what_a_story_holds_and_leads_to_what_it_does_not(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    key = await log_in(browser)
    for typed in ("nobody@ville.example", "IEL-0048151"):
        page = (await looked_for(browser, key, typed)).text
        kept = f'name="motif" type="text" value="{PURPOSE}"' in page
        assert kept is ("Personne ne correspond" in page), "who found nobody looks again"
        assert "Un historique réunit" in page, typed
        for address in OPERATIONS_OF.values():
            assert f'<a href="{address}/incidents">' in page, typed


async def test_only_support_staff_find_a_person(browser: httpx.AsyncClient) -> None:
    assert "Jeton d’accès" in (await browser.get(PEOPLE)).text
    assert "Jeton d’accès" in (await browser.post(PEOPLE, data={"cherche": "durand"})).text


async def test_what_is_heard_twice_is_told_once(notifier: Notifier) -> None:
    [event_id] = await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(a_decision(AgentEnrolled), ids=[event_id])
    assert len(await notifier.query("SELECT id FROM timeline")) == 1


async def test_why_something_was_refused_or_ended_is_told(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(EnrolmentRefused, reason="session_full"))
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    await notifier.hear(a_decision(EnrolmentWithdrawn, enrolment_id=uuid4(), by="employer"))
    await notifier.hear(a_decision(EnrolmentRefused, reason="deadline_passed", asked="withdrawal"))
    key = await log_in(browser)
    page = (await looked_for(browser, key, "IEL-0048151")).text
    assert "session complète · Rennes, jeudi 3 avril 2025 (IA et territoires)" in page
    assert "à la demande de l’employeur · Rennes, jeudi 3 avril 2025 (IA et territoires)" in page
    assert "Désistement non accepté" in page


async def test_the_story_ends_with_the_agent_and_with_its_time(
    notifier: Notifier, portals: PortalsFile
) -> None:
    await hear_story(notifier)
    other = an_agent(agent_id="1002", issuer="ouest")
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    until = clock.now()
    await notifier.hear(a_decision(AttendanceRecorded, version=4, attendance="absent"))
    erasing = eraser(notifier.database, portals, b"")
    async with notifier.database.transaction() as tx:
        exported = (await erasing.export(tx, ZOE))["timeline"]
        assert len(exported) == 6
        await erasing._erase(tx, Subject(agent=ZOE, until=until))
    left = await notifier.query("SELECT agent_id FROM timeline")
    assert [row.agent_id for row in left] == ["1002"], "also what was heard of an enrolment that ended"
    assert TIMELINE in REGISTER.retentions
    async with notifier.database.transaction() as tx:
        for days, ended in ((91, 0), (89, 1)):
            now = clock.now() + timedelta(days=90)
            assert await personal_data.end_rows(tx, TIMELINE, days, now) == ended
