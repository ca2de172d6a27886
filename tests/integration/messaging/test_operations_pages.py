"""Operators' pages of each service: how it stands, and what could not be handled, decided by a click."""

import hashlib
import importlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import FieldProblem
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.messaging.portals.admission import Rejected
from shared.messaging.watchdog import Behind
from shared.process import Process
from shared.web import operations
from shared.web.links import OPERATIONS
from tests.conftest import settings_of
from tests.support.consuming import a_record
from tests.unit.notifier.builders import a_decision, a_session

SERVICES = ("catalogue", "enrolment", "notifier")
ADMIN, SUPPORT, ORGANISER = "admin", "support", "organiser"


def a_process(service: str, url: str, folder: Path) -> Process:
    file = folder / "tokens.json"
    entries = [
        {
            "name": f"{role}-name",
            "role": role,
            "delegation": None,
            "sha256": hashlib.sha256(role.encode()).hexdigest(),
        }
        for role in (ADMIN, SUPPORT, ORGANISER)
    ]
    file.write_text(json.dumps(entries))
    settings: Any = importlib.import_module(f"services.{service}.settings").Settings
    given = settings_of(service, url, "localhost:1") | {"PUBLIC_BASE_URL": "http://test"}
    values = {name.lower(): value for name, value in given.items()} | {"api_tokens_file": file}
    process: Process = importlib.import_module(f"services.{service}.app").compose(
        settings.model_validate(values)
    )
    return process


@pytest.fixture(params=SERVICES)
async def process(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Process]:
    url = request.getfixturevalue(f"{request.param}_url")
    process = a_process(request.param, url, tmp_path)
    yield process
    await process.database.close()


@pytest.fixture
async def notifying(notifier_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    process = a_process("notifier", notifier_url, tmp_path)
    yield process
    await process.database.close()


def a_browser(process: Process) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=process.api)
    return httpx.AsyncClient(transport=transport, base_url="http://test", follow_redirects=True)


async def log_in(browser: httpx.AsyncClient, process: Process, role: str) -> str:
    page = await browser.post(f"{OPERATIONS[process.name]}/connexion", data={"jeton": role})
    assert page.status_code == 200, page.text
    found = re.search('name="cle" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


async def park(process: Process, *parked: Parked) -> list[int]:
    async with process.database.transaction() as tx:
        await dead_letters.park(tx, parked)
        return [letter.id for letter in await dead_letters.find(tx, limit=10)]


def a_scheduled() -> SessionScheduled:
    return SessionScheduled.model_validate(a_session().model_dump())


def a_seat(**changes: Any) -> Parked:
    """A decision that failed once, and can be handled now."""
    enrolled = a_decision(AgentEnrolled, **changes)
    record = a_record(enrolled, uuid4(), source="/services/enrolment")
    record = replace(record, offset=int(uuid4()) % 10**9)
    return Parked(record, enrolled.TYPE, "the database was upgraded", "Traceback: of Zoé Durand", uuid4())


async def test_how_a_service_stands_is_for_admins_and_leads_to_the_others(process: Process) -> None:
    await park(process, Parked(a_record(a_scheduled()), None, "no JSON"))
    async with a_browser(process) as browser:
        home = OPERATIONS[process.name]
        assert "Jeton d’accès" in (await browser.get(home)).text
        refused = await browser.post(f"{home}/connexion", data={"jeton": ORGANISER})
        assert refused.status_code == 403
        await log_in(browser, process, SUPPORT)
        incidents = await browser.get(home)
        assert incidents.url.path == f"{home}/incidents", "support decides, and sees no more"
        await log_in(browser, process, ADMIN)
        page = (await browser.get(home)).text
    assert "this process does not read yet" in page
    assert "1, le plus ancien depuis" in page
    assert '<div id="etat" data-again="10">' in page, "it is looked at again, as that of a session is"
    assert ("Courriels à envoyer" in page) == (process.name == "notifier")
    for other in set(SERVICES) - {process.name}:
        assert f'href="http://test{OPERATIONS[other]}"' in page
        assert f'href="http://test{OPERATIONS[other]}/incidents"' in incidents.text, "support comes to all"


async def test_what_waits_for_a_minute_is_late_as_for_parcours_status_and_the_alerts(
    notifying: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = {"catalogue.sessions": Behind(6, 1, 61.0), "enrolment.occupancy": Behind(6, 1, 59.0)}
    seen = SimpleNamespace(trouble=lambda: None, behind=behind)
    monkeypatch.setattr(notifying, "watchdog", seen)  # the process does not run: what its watchdog would see
    pages = []
    async with a_browser(notifying) as browser:
        await log_in(browser, notifying, ADMIN)
        for age in ("30 seconds", "90 seconds"):
            async with notifying.database.transaction() as tx:
                await tx.execute(text("DELETE FROM outbox"))
                await tx.execute(
                    text(
                        "INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, created_at) "
                        "VALUES (0, 'notifier.deliveries', 'key', gen_random_uuid(), 'type', 'source', '{}', "
                        f"now() - interval '{age}')"
                    )
                )
            pages.append((await browser.get(OPERATIONS["notifier"])).text)
    assert [page.count("À surveiller") for page in pages] == [1, 2]
    assert re.search("catalogue.sessions.+À surveiller", pages[0])
    assert re.search("enrolment.occupancy.+Normal", pages[0])


async def test_a_letter_to_many_that_is_late_is_said_though_no_mail_of_it_is_in_the_queue(
    notifying: Process,
) -> None:
    async with notifying.database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO fan_out "
                "(event_id, task, subject_id, details, called_for_at, last_id_done, due_at) VALUES "
                "(gen_random_uuid(), 'week', gen_random_uuid(), '{}', now(), gen_random_uuid(), "
                "now() - interval '1 hour')"
            )
        )
    async with a_browser(notifying) as browser:
        await log_in(browser, notifying, ADMIN)
        page = (await browser.get(OPERATIONS["notifier"])).text
    assert "un courriel à de nombreuses personnes, depuis 1\u00a0h" in page
    assert "À surveiller" in page


async def test_what_a_record_says_is_shown_for_a_purpose_alone(notifying: Process) -> None:
    (number,) = await park(notifying, a_seat())
    async with a_browser(notifying) as browser:
        key = await log_in(browser, notifying, SUPPORT)
        path = f"{OPERATIONS['notifier']}/incidents/{number}"
        listed = (await browser.get(f"{OPERATIONS['notifier']}/incidents")).text
        page = (await browser.get(path)).text
        assert "Le service a échoué" in listed
        assert "the database was upgraded" in page
        unsaid = await browser.post(path, data={"cle": key, "decision": "lire", "motif": "x"})
        assert unsaid.status_code == 422
        for text_ in (listed, page, unsaid.text):
            assert "Durand" not in text_
            assert "zoe.durand" not in text_
        read = await browser.post(path, data={"cle": key, "decision": "lire", "motif": "ticket 12"})
        assert "zoe.durand@ville-exemple.fr" in read.text
        assert "Traceback: of Zoé Durand" in read.text
    async with notifying.database.quiet_transaction() as tx:
        query = text("SELECT actor, kind, agent_id, about, purpose FROM read_log")
        (line,) = await tx.execute(query)
    assert tuple(line) == ("support-name", "dead_letter", "IEL-0048151", str(number), "ticket 12")


async def test_why_a_record_is_there_is_said_in_french_but_for_what_only_a_program_said(
    notifying: Process,
) -> None:
    record, home = a_record(a_scheduled()), f"{OPERATIONS[notifying.name]}/incidents"
    problem = FieldProblem(pointer="/agent/email", message="Field required")
    rejection = Rejected(record, RejectionCode.INVALID, (problem,), portal=None)
    async with notifying.database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [rejection])
    missing, failing = replace(record, offset=1), replace(record, offset=2)
    unread = "the CloudEvents attribute 'id' is missing (header ce_id)"
    no_json = f"{SessionScheduled.TYPE}: value: Invalid JSON: EOF at line 1"
    rubbish = Parked(replace(record, offset=3), SessionScheduled.TYPE, no_json)
    await park(notifying, Parked(missing, None, unread), Parked(failing, None, "KeyError: x", "Tb"), rubbish)
    async with a_browser(notifying) as browser:
        await log_in(browser, notifying, SUPPORT)
        rejected, parked = [
            (await browser.get(f"{home}?etat={state}")).text for state in ("rejected", "parked")
        ]
        number = re.findall(rf'href="{home}/(\d+)"', rejected)
        alone = (await browser.get(f"{home}/{number[0]}")).text
    for page in (rejected, alone):
        assert "La demande n’est pas valable\u00a0: <code>/agent/email</code> champ obligatoire" in page
    assert "l’attribut CloudEvents &#39;id&#39; manque (en-tête ce_id)" in parked
    assert '<span lang="en">KeyError: x</span>' in parked
    assert 'v1\u00a0: n’est pas du JSON (<span lang="en">EOF at line 1</span>)' in parked


async def test_what_can_be_handled_now_is_handled_again_as_it_is(notifying: Process) -> None:
    later = replace(a_record(a_scheduled()), offset=1, headers=())
    (second, first) = await park(notifying, a_seat(), Parked(later, None, "cannot be read"))
    home = f"{OPERATIONS['notifier']}/incidents"
    async with a_browser(notifying) as browser:
        key = await log_in(browser, notifying, SUPPORT)
        assert (await browser.post(home, data={"choisi": first})).status_code == 403
        none = await browser.post(home, data={"cle": key})
        assert "Rien n’est repris" in none.text, "nothing chosen is not everything"
        done = await browser.post(home, data={"cle": key, "choisi": [str(first), str(second)]})
        assert "1 repris, 1 toujours à décider" in done.text
        again = await browser.post(f"{home}/{second}", data={"cle": key, "decision": "reprendre"})
    assert "Il n’a pas pu être repris" in again.text
    assert "Reprise en échec" in again.text
    async with notifying.database.quiet_transaction() as tx:
        mails = list(await tx.scalars(text("SELECT template FROM mail")))
        states = dict(tuple(row) for row in await tx.execute(text("SELECT id, state FROM dead_letter")))
        actors = set(await tx.scalars(text("SELECT actor FROM dead_letter_audit")))
    assert mails == ["enrolment-confirmed"]
    assert states == {first: "redriven", second: "parked"}
    assert actors == {"support-name"}


async def test_what_is_given_up_needs_a_reason_that_is_kept(notifying: Process) -> None:
    (number,) = await park(notifying, Parked(a_record(a_scheduled()), None, "no JSON"))
    home = f"{OPERATIONS[notifying.name]}/incidents"
    async with a_browser(notifying) as browser:
        key = await log_in(browser, notifying, SUPPORT)
        given_up = {"cle": key, "decision": "abandonner", "raison": "essai sans suite"}
        statuses = [
            (await browser.post(f"{home}/{number}", data=given_up | changes)).status_code
            for changes in ({"raison": " "}, {"decision": "x"}, {"cle": ""})
        ]
        assert statuses == [422, 400, 403]
        done = await browser.post(f"{home}/{number}", data=given_up)
        assert "support-name · essai sans suite" in done.text
        for unknown in (999999, 10**30):
            assert (await browser.get(f"{home}/{unknown}")).status_code == 404


async def test_all_incidents_are_reached_page_by_page_and_by_what_they_are_about(
    notifying: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "LISTED", 2)
    home, asked = f"{OPERATIONS[notifying.name]}/incidents", uuid4()
    records = [replace(a_record(a_scheduled()), offset=offset) for offset in (5, 4, 3, 2, 1)]
    for record in records[:3]:
        await park(notifying, Parked(record, None, "no JSON"))
    problem = FieldProblem(pointer="/agent/email", message="Field required")
    rejected = [
        Rejected(records[3], RejectionCode.INVALID, (problem,), portal="iel", request_id=asked),
        Rejected(records[4], RejectionCode.INVALID, (problem,), portal="martinique"),
    ]
    for rejection in rejected:
        async with notifying.database.transaction() as tx:
            await dead_letters.keep_rejected(tx, [rejection])
    async with a_browser(notifying) as browser:
        await log_in(browser, notifying, SUPPORT)

        def numbers(page: httpx.Response) -> list[int]:
            return [int(number) for number in re.findall(rf'href="{home}/(\d+)"', page.text)]

        first = await browser.get(home)
        (following,) = re.findall('rel="next" href="([^"]+)"', first.text)
        second = await browser.get(following.replace("&amp;", "&"))
        (previous,) = re.findall('rel="prev" href="([^"]+)"', second.text)
        parked = [*numbers(first), *numbers(second)]
        assert (len(numbers(first)), parked) == (2, sorted(parked)), "those that wait longest first"
        assert len(parked) == 3
        assert numbers(await browser.get(previous.replace("&amp;", "&"))) == numbers(first)
        newest_first = numbers(await browser.get(f"{home}?etat=rejected"))
        assert newest_first == sorted(newest_first, reverse=True)
        for searched, found in (
            (str(asked).upper(), newest_first[1:]),
            ("martinique", newest_first[:1]),
            ("catalogue.sessions", newest_first),
            ("invalid", newest_first),
            ("ouest", []),
        ):
            page = await browser.get(home, params={"etat": "rejected", "cherche": searched})
            assert numbers(page) == found, searched


async def test_who_decides_after_somebody_else_hears_that_nothing_is_done(notifying: Process) -> None:
    other = Parked(replace(a_record(a_scheduled()), offset=1), None, "no JSON")
    (first, second) = await park(notifying, Parked(a_record(a_scheduled()), None, "no JSON"), other)
    path = f"{OPERATIONS[notifying.name]}/incidents"
    async with a_browser(notifying) as browser:
        key = await log_in(browser, notifying, SUPPORT)
        given_up = {"cle": key, "decision": "abandonner", "raison": "essai sans suite"}
        await browser.post(f"{path}/{first}", data=given_up)
        for late in ({"cle": key, "decision": "reprendre"}, given_up):
            page = await browser.post(f"{path}/{first}", data=late)
            assert page.status_code == 409
            assert "Cet incident n’attend plus de décision" in page.text
        chosen = await browser.post(path, data={"cle": key, "choisi": [str(first), str(second)]})
        assert "Décidés entre-temps par quelqu’un d’autre\u00a0: 1." in chosen.text
    async with notifying.database.quiet_transaction() as tx:
        decided = await dead_letters.audit_log(tx, first)
    assert [line.action for line in decided] == ["discarded"]
