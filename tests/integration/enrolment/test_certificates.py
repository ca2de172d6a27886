"""Certificates of attendance: which agents have a certificate, and how it is verified."""

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pypdf
import pytest

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.policy import Policy
from services.enrolment.service import attendance
from services.enrolment.service.acting import Acting
from shared import clock
from shared.auth import Principal
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent
from shared.permissions import Role
from shared.web.links import Purpose
from tests.conftest import Ask, SecurityLines
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.visiting import KEY, letter
from tests.support.builders import an_agent
from tests.support.statements import statements

BRETAGNE, CORSE = "advisor-bretagne", "advisor-corse"
MODULES = [
    {"title": f"Séance {number}", "starts_at": f"2025-03-{day}T08:30Z", "ends_at": f"2025-03-{day}T11:00Z"}
    for number, day in ((1, 18), (2, 20), (3, 25))
]


@pytest.fixture
def ask_now(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url="https://parcours.example")
    return it


@pytest.fixture
def ask(ask_now: Ask, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask when the session is over."""

    async def later(*what: Any, **how: Any) -> httpx.Response:
        with monkeypatch.context() as patched:
            patched.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(days=40))
            return await ask_now(*what, **how)

    return later


async def record(
    front: Front,
    database: Database,
    session: SessionState,
    agent: Agent,
    *marks: str,
    at: datetime | None = None,
) -> str:
    """Record attendance at each module when the session is over; return the path of the certificate."""
    records = [
        (NamedAgent(agent.agent_id), number, Attendance(mark)) for number, mark in enumerate(marks, start=1)
    ]
    async with database.transaction() as tx:
        acting = Acting(tx, Principal(name="advisor", role=Role.ORGANISER), Policy(), at or session.ends_at)
        await attendance.record(acting, session.session_id, records)
    return await letter(front, Purpose.CERTIFICATE, session, agent)


def zip_of(session: SessionState) -> str:
    return f"/api/v1/sessions/{session.session_id}/certificates.zip"


async def attended(front: Front, database: Database) -> tuple[SessionState, Agent, str]:
    """A session, an agent who attended two of its modules, and the path of the certificate."""
    agent = an_agent()
    session = await front.open(agent, modules=MODULES, join_url="https://visio.example/secret")
    return session, agent, await record(front, database, session, agent, "attended", "absent", "attended")


async def certificate_text(ask: Ask, link: str) -> str:
    pdf = pypdf.PdfReader(io.BytesIO((await ask("GET", link)).content))
    return " ".join("".join(page.extract_text() for page in pdf.pages).split())


async def path_of_verification(ask: Ask, link: str) -> str:
    found = re.search("Code de vérification : (\\w{5}-\\w{5})", await certificate_text(ask, link))
    assert found is not None
    return f"/attestations/{found[1]}"


async def test_the_certificate_says_which_modules_were_attended(
    front: Front, ask: Ask, database: Database
) -> None:
    _, agent, link = await attended(front, database)
    text = await certificate_text(ask, link)
    assert f"{agent.given_name} {agent.family_name}" in text
    assert re.findall(r"Séance \d", text) == ["Séance 1", "Séance 3"]
    assert "https://parcours.example/attestations" in text
    first, second = [await ask("GET", link) for _ in range(2)]
    assert first.headers["content-type"] == "application/pdf"
    assert first.headers["cache-control"] == "no-store"
    assert first.content == second.content


async def test_a_certificate_is_verified_by_its_code_and_a_name_is_shown_only_to_a_visitor_who_types_it(
    front: Front, ask: Ask, database: Database
) -> None:
    session, agent, link = await attended(front, database)
    verified, name = await path_of_verification(ask, link), f"{agent.given_name} {agent.family_name}"
    shown = (await ask("GET", verified.lower())).text
    assert "Durée suivie : 5 h." in shown.replace("\u00a0", " ")
    for hidden in (agent.family_name, agent.email, agent.agent_id, "visio.example", str(session.session_id)):
        assert hidden not in shown
    assert (await ask("POST", "/attestations", data={"code": verified[14:]})).headers["location"] == verified
    assert name in (await ask("POST", verified, data={"nom": name.upper()})).text
    for wrong in ("Ada Martin", agent.family_name, "x" * 10_000):
        assert agent.family_name not in (await ask("POST", verified, data={"nom": wrong})).text


async def test_a_certificate_is_there_from_attendance_until_that_is_corrected(
    front: Front, ask: Ask, database: Database
) -> None:
    session, agent = await front.open(modules=MODULES), an_agent()
    await front.enrol(session, agent)
    link = await letter(front, Purpose.CERTIFICATE, session, agent)
    assert (await ask("GET", link)).status_code == 410
    await record(front, database, session, agent, "attended", "attended", "attended")
    verified = await path_of_verification(ask, link)

    await record(front, database, session, agent, "absent", "absent", "absent")

    assert (await ask("GET", link)).status_code == 410
    void = (await ask("GET", verified)).text
    withdrawn = (await ask("POST", verified, data={"nom": f"{agent.given_name} {agent.family_name}"})).text
    assert "Cette attestation a été retirée" in withdrawn.replace("\u00a0", " ")
    assert agent.family_name not in withdrawn
    await record(front, database, session, agent, "attended", "absent", "absent")
    assert (await ask("GET", verified)).text == void, "the paper still says three modules"
    assert "Durée suivie" in (await ask("GET", await path_of_verification(ask, link))).text


async def test_a_certificate_that_another_one_replaces_is_void(
    front: Front, ask: Ask, database: Database
) -> None:
    session, agent, link = await attended(front, database)
    first = await path_of_verification(ask, link)
    await record(front, database, session, agent, "attended", "absent", "absent")
    second = await path_of_verification(ask, link)
    assert re.findall(r"Séance \d", await certificate_text(ask, link)) == ["Séance 1"]
    shown = [("Durée suivie" in (await ask("GET", path)).text) for path in (first, second)]
    assert shown == [False, True]


@pytest.mark.parametrize(("minutes", "days"), [(-1, 1), (0, 0)])
async def test_an_agent_gets_the_certificate_after_the_end_or_a_day_later_if_it_was_recorded_before(
    front: Front,
    ask_now: Ask,
    monkeypatch: pytest.MonkeyPatch,
    database: Database,
    *,
    minutes: int,
    days: int,
) -> None:
    """Rule 24."""
    agent = an_agent()
    session = await front.open(agent, modules=MODULES)
    leaves_at, at = session.ends_at + timedelta(days=days), session.ends_at + timedelta(minutes=minutes)
    link = await record(front, database, session, agent, *["attended"] * 3, at=at)
    page = await letter(front, Purpose.ENROLMENTS, session, agent)
    for now, has_left in ((leaves_at - timedelta(seconds=1), False), (leaves_at, True)):
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        assert (await ask_now("GET", link)).status_code == (200 if has_left else 410)
        assert ("Télécharger l’attestation" in (await ask_now("GET", page)).text) is has_left


async def test_after_too_many_codes_that_are_not_ours_the_right_code_is_not_told(
    front: Front, ask: Ask, database: Database, asking: Any, rows: SelectRows
) -> None:
    _, _, link = await attended(front, database)
    verified = await path_of_verification(ask, link)
    few = asking(link_signing_key=KEY, refused_rate="4/minute", link_rate="1/minute")
    assert (await few("POST", "/attestations", data={"code": "abc"})).status_code == 422
    counts = len(await rows("SELECT 1 FROM request_count"))
    codes = ["7KMPT-2XWZ9", "0", "é" * 10, "x" * 5_000, "7KMPT-2XWZ4", verified[14:]]
    answers = [(await few("GET", f"/attestations/{code}")).status_code for code in codes]
    assert answers == [404, 404, 404, 404, 429, 429]
    assert len(await rows("SELECT 1 FROM request_count")) == counts + 1, "none for each code"
    assert (await ask("GET", verified)).status_code == 200


# ------------------------------------------------------------------------------------------- organisers


async def test_an_organiser_gets_the_certificates_of_a_session_as_a_zip_a_part_at_a_time(
    front: Front, ask: Ask, database: Database, rows: SelectRows
) -> None:
    names = ["Zoé", "Éloïse", "d’Arc", "Ида", "Ana"]
    agents = [an_agent(f"A-{number}", given_name=name) for number, name in enumerate(names)]
    session = await front.open(*agents)
    for agent, mark in zip(agents, ["attended"] * 4 + ["absent"], strict=True):
        await record(front, database, session, agent, mark)

    found: dict[str, bytes] = {}
    following: str | None = f"{zip_of(session)}?limit=3"
    sizes = []
    while following is not None:
        answer = await ask("GET", following, by=BRETAGNE)
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            found |= {name: archive.read(name) for name in archive.namelist()}
            sizes.append(len(archive.namelist()))
        following = answer.links.get("next", {}).get("url")

    assert sizes == [3, 1]
    ids = [(await front.of(session, agent)).enrolment_id for agent in agents[:4]]
    prefixes = ["durand-zoe-", "durand-eloise-", "durand-darc-", "durand-"]
    assert [*found] == [f"{prefix}{id_}.pdf" for prefix, id_ in zip(prefixes, ids, strict=True)]
    links = [await letter(front, Purpose.CERTIFICATE, session, agent) for agent in agents[:4]]
    assert [*found.values()] == [(await ask("GET", link)).content for link in links]
    read = await rows("SELECT agent_id FROM read_log WHERE kind = 'certificate' ORDER BY agent_id")
    assert [row.agent_id for row in read] == ["A-0", "A-1", "A-2", "A-3"]


async def test_a_zip_stands_in_the_security_log_and_its_purpose_is_not_shown_to_the_person_in_it(
    front: Front, ask: Ask, database: Database, rows: SelectRows, security_lines: SecurityLines
) -> None:
    session, agent, _ = await attended(front, database)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    for path in (zip_of(session), f"/api/v1/enrolments/{enrolment_id}/certificate.pdf"):
        answer = await ask("GET", path, by=BRETAGNE, headers={"read-purpose": "appel de Zoe"})
        assert answer.status_code == 200, answer.text
    events = security_lines()
    assert [(line["outcome"], line["where"]) for line in events if line["event"] == "export"] == [
        ("ok", "/api/v1/sessions/{session_id}/certificates.zip")
    ]
    recorded = await rows("SELECT may_name_others FROM read_log WHERE kind = 'certificate' ORDER BY id")
    assert recorded == [(True,), (False,)]


async def test_no_zip_without_certificates_nor_for_another_delegation(front: Front, ask: Ask) -> None:
    session = await front.open(an_agent())
    for by, status in ((BRETAGNE, 409), (CORSE, 404), (None, 401)):
        assert (await ask("GET", zip_of(session), by=by)).status_code == status


# ------------------------------------------------------------------------------------------- prerequisite


async def test_the_certificate_of_an_offer_opens_the_session_that_requires_it(
    front: Front, database: Database
) -> None:
    first, agent, _ = await attended(front, database)
    prerequisite = {"offer_id": first.offer_id, "title": "Les fondamentaux de l’IA"}
    other = an_agent()
    session = await front.open(agent, other, offer_id="suivante", prerequisite=prerequisite)
    assert await front.states(session, agent, other) == ["enrolled", "refused"]
    assert (await front.of(session, other)).reason == "prerequisite_missing"


async def test_nobodys_certificates_are_looked_for_where_none_is_required(
    front: Front, database: Database
) -> None:
    session = await front.open()
    with statements() as asked:
        await front.enrol(session, an_agent())
    assert asked
    assert not [statement for statement in asked if "certified" in statement.sql]
