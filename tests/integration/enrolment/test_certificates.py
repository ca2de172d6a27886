"""Certificates of attendance: who has one, and how anybody verifies it."""

import io
import logging
import re
import zipfile
from typing import Any
from uuid import uuid4

import pypdf
import pytest
from sqlalchemy import event

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.policy import Policy
from services.enrolment.service import attendance
from services.enrolment.service.acting import Acting
from shared import security_log
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.visiting import KEY, enrolled, letter, page, path
from tests.support.builders import an_agent, open_now

BRETAGNE, CORSE = "advisor-bretagne", "advisor-corse"


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url="https://parcours.example")
    return it


async def record(front: Front, database: Database, session: SessionState, agent: Agent, *marks: str) -> str:
    """Attendance at each module, and what it made of the enrolment; returns the path of the certificate."""
    records = [
        (NamedAgent(agent.agent_id), number, Attendance(mark)) for number, mark in enumerate(marks, start=1)
    ]
    async with database.transaction() as tx:
        organiser = Principal(name="advisor", role=Role.ORGANISER)
        acting = Acting(tx, organiser, Policy(), session.ends_at)
        await attendance.record(acting, session.session_id, records)
    return await letter(front, Purpose.CERTIFICATE, session, agent)


MODULES = [
    {"title": f"Séance {number}", "starts_at": f"2025-03-{day}T08:30Z", "ends_at": f"2025-03-{day}T11:00Z"}
    for number, day in ((1, 18), (2, 20), (3, 25))
]


async def test_the_certificate_says_which_modules_were_attended(
    front: Front, ask: Ask, database: Database
) -> None:
    session, agent, _ = await enrolled(front, modules=MODULES)
    link = await record(front, database, session, agent, "attended", "absent", "attended")
    answer = await ask("GET", link)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "no-store"
    text = " ".join(
        "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages).split()
    )
    assert "Zoé Durand" in text
    assert "Séance 1" in text
    assert "Séance 2" not in text
    assert "Durée totale suivie : 5 h." in text
    assert (await ask("GET", link)).content == answer.content


async def test_there_is_no_certificate_for_who_was_absent(front: Front, ask: Ask, database: Database) -> None:
    session, agent, _ = await enrolled(front)
    link = await letter(front, Purpose.CERTIFICATE, session, agent)
    page(await ask("GET", link), 410, "Cette attestation n’est pas disponible")
    await record(front, database, session, agent, "absent")
    page(await ask("GET", link), 410, "Cette attestation n’est pas disponible")


async def certified(front: Front, ask: Ask, database: Database) -> tuple[SessionState, Agent, str]:
    """A session, an agent with a certificate, and the path at which it is verified."""
    session, agent, _ = await enrolled(front, modules=MODULES, join_url="https://visio.example/secret")
    link = await record(front, database, session, agent, "attended", "absent", "attended")
    pdf = pypdf.PdfReader(io.BytesIO((await ask("GET", link)).content))
    text = " ".join("".join(page.extract_text() for page in pdf.pages).split())
    found = re.search("Code de vérification : (\\w{5}-\\w{5}), à saisir sur (\\S+)", text)
    assert found is not None, text
    assert found[2] == "https://parcours.example/attestations"
    return session, agent, f"/attestations/{found[1]}"


async def test_whoever_holds_a_certificate_sees_that_it_is_valid_and_no_name(
    front: Front, ask: Ask, database: Database
) -> None:
    session, agent, verified = await certified(front, ask, database)
    text = page(await ask("GET", verified.lower()), 200, "Cette attestation est valable")
    assert "Durée suivie : 5 h." in text.replace("\u00a0", " ")
    for hidden in (agent.family_name, agent.email, agent.agent_id, "visio.example", str(session.session_id)):
        assert hidden not in text
    assert (await ask("POST", "/attestations", data={"code": verified[14:]})).headers["location"] == verified


async def test_a_name_is_said_only_where_it_is_typed_and_right(
    front: Front, ask: Ask, database: Database
) -> None:
    _, agent, verified = await certified(front, ask, database)
    name = f"{agent.given_name} {agent.family_name}"
    right = await ask("POST", verified, data={"nom": name.upper()})
    assert f"Elle a été délivrée à {name}." in right.text
    for wrong in ("Ada Martin", agent.family_name, "x" * 10_000):
        other = await ask("POST", verified, data={"nom": wrong})
        assert agent.family_name not in other.text
        assert "pas été délivrée à une personne de ce nom" in other.text


async def test_a_certificate_is_withdrawn_when_attendance_is_corrected(
    front: Front, ask: Ask, database: Database
) -> None:
    session, agent, verified = await certified(front, ask, database)
    await record(front, database, session, agent, "absent", "absent", "absent")
    text = page(
        await ask("POST", verified, data={"nom": "Zoé Durand"}), 200, "Cette attestation a été retirée"
    )
    assert agent.family_name not in text
    await record(front, database, session, agent, "attended", "absent", "absent")
    page(await ask("GET", verified), 200, "Cette attestation est valable")


async def test_a_code_that_is_not_ours_is_not_found_and_counts_as_a_wrong_link(
    ask: Ask, asking: Any, rows: SelectRows
) -> None:
    page(await ask("GET", "/attestations"), 200, "Vérifier une attestation")
    page(await ask("POST", "/attestations", data={"code": "abc"}), 422, "Vérifier une attestation")
    for code in ("7KMPT-2XWZ9", "0", "é" * 10, "x" * 5_000):
        page(await ask("GET", f"/attestations/{code}"), 404, "Aucune attestation n’a ce code")
    few = asking(link_signing_key=KEY, refused_rate="3/minute")
    before = len(await rows("SELECT 1 FROM request_count"))
    answers = [(await few("GET", f"/attestations/7KMPT-2XWZ{last}")).status_code for last in "456789"]
    assert answers[-1] == 429
    assert len(await rows("SELECT 1 FROM request_count")) == before, "none for each code"


async def test_who_tried_too_many_codes_is_not_told_which_one_is_right(
    front: Front, ask: Ask, database: Database, asking: Any
) -> None:
    _, _, verified = await certified(front, ask, database)
    few = asking(link_signing_key=KEY, refused_rate="3/minute", link_rate="1/minute")
    # What is no code has no count of its own: nobody's mistakes are those of others.
    answers = [(await few("GET", f"/attestations/{code}")).status_code for code in ("0", "0", "1", "1", "1")]
    assert answers == [404, 404, 404, 429, 429]
    assert (await few("GET", verified)).status_code == 429
    assert (await ask("GET", verified)).status_code == 200


async def test_a_certificate_is_opened_and_nothing_else(front: Front, ask: Ask) -> None:
    assert (await ask("POST", path(Purpose.CERTIFICATE, uuid4()))).status_code == 405


async def test_an_organiser_gets_the_certificates_of_a_session_as_a_zip_a_part_at_a_time(
    front: Front, ask: Ask, database: Database, rows: SelectRows
) -> None:
    session = open_now()
    await front.publish(session)
    names = ["Zoé", "Éloïse", "d’Arc", "Ида", "Ana"]
    agents = [an_agent(f"A-{number}", given_name=name) for number, name in enumerate(names)]
    for agent, mark in zip(agents, ["attended"] * 4 + ["absent"], strict=True):
        await front.enrol(session, agent)
        await record(front, database, session, agent, mark)
    links = [await letter(front, Purpose.CERTIFICATE, session, agent) for agent in agents]

    found: dict[str, bytes] = {}
    following: str | None = f"/api/v1/sessions/{session.session_id}/certificates.zip?limit=3"
    sizes = []
    while following is not None:
        answer = await ask("GET", following, by=BRETAGNE)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            found |= {name: archive.read(name) for name in archive.namelist()}
            sizes.append(len(archive.namelist()))
        following = answer.links.get("next", {}).get("url")
    assert sizes == [3, 1]
    ids = [str((await front.of(session, agent)).enrolment_id) for agent in agents[:4]]
    prefixes = ["durand-zoe-", "durand-eloise-", "durand-darc-", "durand-"]
    assert [*found] == [f"{prefix}{id_}.pdf" for prefix, id_ in zip(prefixes, ids, strict=True)]
    assert [*found.values()] == [(await ask("GET", link)).content for link in links[:4]]
    read = await rows("SELECT agent_id FROM read_log WHERE kind = 'certificate' ORDER BY agent_id")
    assert [row.agent_id for row in read] == ["A-0", "A-1", "A-2", "A-3"]


async def test_a_zip_of_certificates_that_is_taken_out_stands_in_the_security_log(
    front: Front, ask: Ask, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    session, agent, _ = await enrolled(front)
    await record(front, database, session, agent, "attended")
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    path_of_zip = f"/api/v1/sessions/{session.session_id}/certificates.zip"
    assert (await ask("GET", path_of_zip, by=BRETAGNE)).status_code == 200
    events = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    assert [(line["event"], line["outcome"]) for line in events] == [("token", "ok"), ("export", "ok")]
    assert events[-1]["where"] == "/api/v1/sessions/{session_id}/certificates.zip"


async def test_why_a_zip_was_taken_out_is_not_told_the_one_person_in_it(
    front: Front, ask: Ask, database: Database, rows: SelectRows
) -> None:
    session, agent, _ = await enrolled(front)
    await record(front, database, session, agent, "attended")
    enrolment = (await front.of(session, agent)).enrolment_id
    for read in (
        f"sessions/{session.session_id}/certificates.zip",
        f"enrolments/{enrolment}/certificate.pdf",
    ):
        answer = await ask("GET", f"/api/v1/{read}", by=BRETAGNE, headers={"read-purpose": "appel de Zoe"})
        assert answer.status_code == 200, answer.text
    recorded = await rows("SELECT NOT may_name_others FROM read_log WHERE kind = 'certificate' ORDER BY id")
    assert [with_purpose for (with_purpose,) in recorded] == [False, True]


async def test_no_zip_without_certificates_nor_for_another_delegation(front: Front, ask: Ask) -> None:
    session, _, _ = await enrolled(front)
    path_of_zip = f"/api/v1/sessions/{session.session_id}/certificates.zip"
    assert (await ask("GET", path_of_zip, by=BRETAGNE)).status_code == 409
    assert (await ask("GET", path_of_zip, by=CORSE)).status_code == 404
    assert (await ask("GET", path_of_zip)).status_code == 401


async def test_the_certificate_of_an_offer_opens_the_session_that_requires_it(
    front: Front, ask: Ask, database: Database
) -> None:
    first, agent, _ = await certified(front, ask, database)
    prerequisite = {"offer_id": first.offer_id, "title": "Les fondamentaux de l’IA"}
    session = open_now(offer_id="offre-suivante", prerequisite=prerequisite)
    await front.publish(session)
    other = an_agent()
    await front.enrol(session, agent)
    await front.enrol(session, other)
    assert (await front.of(session, agent)).state == "enrolled"
    assert (await front.of(session, other)).reason == "prerequisite_missing"


async def test_nobodys_certificates_are_looked_for_where_none_is_required(
    front: Front, database: Database
) -> None:
    session = open_now()
    await front.publish(session)
    statements: list[str] = []

    def keep(*call: Any) -> None:
        statements.append(call[2])

    event.listen(database._engine.sync_engine, "before_cursor_execute", keep)
    await front.enrol(session, an_agent())
    event.remove(database._engine.sync_engine, "before_cursor_execute", keep)
    assert statements
    assert not [statement for statement in statements if "certified" in statement]
