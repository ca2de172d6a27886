"""The pages behind the links of letters: opening one changes nothing, an answer is decided by the rules."""

import asyncio
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pypdf
import pytest
from sqlalchemy import text

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.policy import Policy
from services.enrolment.service import attendance
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionChanged, SessionState
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent
from shared.web.links import Links, LinkSettings, Purpose
from tests.integration.enrolment.conftest import Ask, Front
from tests.integration.enrolment.test_issuers import Rows
from tests.support.builders import an_agent, open_now

KEY = "a key of thirty-two characters for tests only"
LATER = datetime.now(UTC) + timedelta(days=60)


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url="https://parcours.example")
    return it


def links(key: str = KEY) -> Links:
    made = LinkSettings(link_signing_key=key).links
    assert made is not None
    return made


def path(purpose: Purpose, *subject: object, until: datetime = LATER, key: str = KEY) -> str:
    return f"{purpose.value}/{links(key).token(purpose, *map(str, subject), until=until)}"


def page(answer: httpx.Response, status: int, title: str) -> str:
    """A page in French with this title, and the headers that keep it to itself."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="fr">' in answer.text
    assert f"<h1>{title}</h1>" in answer.text.replace("\u00a0", " ")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self' 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert "<script" not in answer.text
    return answer.text


async def an_offer(front: Front, **changes: Any) -> tuple[SessionState, Agent, str]:
    """A session, an agent to whom its one seat is offered, and the path of the letter's link."""
    session = open_now(**{"capacity": 1, "waiting_list": "offer"} | changes)
    first, second = an_agent(), an_agent()
    await front.publish(session)
    await front.enrol(session, first, second)
    await front.withdraw(session, first)
    offered = await front.of(session, second)
    assert offered.state == "offered"
    return session, second, path(Purpose.OFFER, offered.enrolment_id, offered.version)


# ------------------------------------------------------------------------------------------- the offer


async def test_an_offer_is_shown_with_its_session_and_until_when(front: Front, ask: Ask) -> None:
    _, agent, link = await an_offer(front, title="L’IA & <vous>", venue="Rennes")
    text = page(await ask("GET", link), 200, "Une place s’est libérée")
    for shown in ("L’IA &amp; &lt;vous&gt;", "Rennes", "La délégation Bretagne du CNFPT", "heure de Paris"):
        assert shown in text
    assert text.count("<button") == 2
    for personal in (agent.family_name, agent.email, agent.agent_id):
        assert personal not in text


async def test_opening_a_link_never_answers(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    for method in ("GET", "HEAD", "GET"):
        assert (await ask(method, link)).status_code == 200
    assert await front.states(session, agent) == ["offered"]


async def test_yes_takes_the_seat(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    page(await ask("POST", link, data={"reponse": "oui"}), 200, "Votre place est confirmée")
    assert await front.states(session, agent) == ["enrolled"]


async def test_no_leaves_the_seat_to_the_next(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    third = an_agent()
    await front.enrol(session, third)
    page(await ask("POST", link, data={"reponse": "non"}), 200, "Vous avez laissé la place")
    assert await front.states(session, agent, third) == ["lapsed", "offered"]


@pytest.mark.parametrize(
    ("first", "state", "title"),
    [
        ("oui", "enrolled", "Cette place est déjà la vôtre"),
        ("non", "lapsed", "Vous avez déjà laissé cette place"),
    ],
)
async def test_an_answer_that_is_replayed_changes_nothing(
    front: Front, ask: Ask, first: str, state: str, title: str
) -> None:
    session, agent, link = await an_offer(front)
    await ask("POST", link, data={"reponse": first})
    for again in ("oui", "non"):
        page(await ask("POST", link, data={"reponse": again}), 410, title)
    page(await ask("GET", link), 410, title)
    assert await front.states(session, agent) == [state]


@pytest.mark.parametrize("form", [{}, {"reponse": "peut-être"}, {"answer": "oui"}])
async def test_an_answer_that_is_neither_yes_nor_no_is_asked_again(
    front: Front, ask: Ask, form: dict[str, str]
) -> None:
    session, agent, link = await an_offer(front)
    assert 'role="alert"' in page(await ask("POST", link, data=form), 422, "Une place s’est libérée")
    assert await front.states(session, agent) == ["offered"]


async def test_the_link_of_an_older_offer_never_answers_a_newer_one(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    sooner = session.starts_at - timedelta(days=27)  # in three days: the offer must end before
    moved = {"version": 2, "starts_at": sooner, "enrolment_closes_at": sooner - timedelta(hours=1)}
    await front.publish(SessionChanged.model_validate(session.model_dump() | moved))
    shorter = await front.of(session, agent)
    assert (shorter.state, shorter.version) == ("offered", 3)
    for answer in (await ask("GET", link), await ask("POST", link, data={"reponse": "oui"})):
        page(answer, 410, "Cette proposition a été remplacée")
    assert await front.states(session, agent) == ["offered"]
    newer = path(Purpose.OFFER, shorter.enrolment_id, shorter.version)
    page(await ask("POST", newer, data={"reponse": "oui"}), 200, "Votre place est confirmée")


async def test_the_link_of_an_enrolment_that_ended_never_answers_the_next_one(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    before = await front.of(session, agent)
    await front.withdraw(session, agent)
    other = an_agent()
    await front.enrol(session, other, agent)
    await front.withdraw(session, other)
    again = await front.of(session, agent)
    assert (again.state, again.version) == ("offered", before.version)
    assert again.enrolment_id != before.enrolment_id
    page(await ask("POST", link, data={"reponse": "non"}), 410, "Cette proposition n’est plus valable")
    assert await front.states(session, agent) == ["offered"]


async def test_an_offer_that_is_over_is_gone_before_the_clock_has_ended_it(
    front: Front, ask: Ask, database: Database
) -> None:
    session, agent, link = await an_offer(front)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE enrolment SET hold_until = now() WHERE state = 'offered'"))
    page(await ask("GET", link), 410, "Le délai pour répondre est passé")
    page(await ask("POST", link, data={"reponse": "oui"}), 410, "Le délai pour répondre est passé")
    assert await front.states(session, agent) == ["offered"]


async def test_of_two_answers_at_once_one_counts_and_the_other_is_refused(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    answers = await asyncio.gather(
        *(ask("POST", link, data={"reponse": answer}) for answer in ("oui", "non") * 3)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 5
    accepted = next("confirmée" in answer.text for answer in answers if answer.status_code == 200)
    assert await front.states(session, agent) == ["enrolled" if accepted else "lapsed"]


async def test_the_offer_of_a_cancelled_session_is_gone(front: Front, ask: Ask) -> None:
    session, _, link = await an_offer(front)
    await front.publish(
        SessionChanged.model_validate(session.model_dump() | {"version": 2, "status": "cancelled"})
    )
    page(await ask("POST", link, data={"reponse": "oui"}), 410, "Cette session est annulée")


# ------------------------------------------------------------------------------------------- withdrawal


async def enrolled(front: Front, **changes: Any) -> tuple[SessionState, Agent, str]:
    session, agent = open_now(**changes), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    return session, agent, path(Purpose.WITHDRAW, (await front.of(session, agent)).enrolment_id)


@pytest.mark.parametrize(
    ("changes", "state", "title"),
    [
        ({}, "enrolled", "Vous désister de cette session ?"),
        ({"capacity": 0}, "waitlisted", "Quitter la liste d’attente ?"),
        ({"approval": "employer"}, "pending_approval", "Retirer votre demande ?"),
        ({"approval": "selection"}, "pending_selection", "Retirer votre candidature ?"),
    ],
)
async def test_whoever_is_live_may_withdraw_by_the_link_and_only_by_its_button(
    front: Front, ask: Ask, changes: dict[str, Any], state: str, title: str
) -> None:
    session, agent, link = await enrolled(front, **changes)
    page(await ask("GET", link), 200, title)
    page(await ask("POST", link, data={}), 200, title)
    assert await front.states(session, agent) == [state]
    page(await ask("POST", link, data={"confirmer": "oui"}), 200, "Votre désistement est enregistré")
    assert await front.states(session, agent) == ["withdrawn"]
    page(await ask("POST", link, data={"confirmer": "oui"}), 410, "Cette inscription a déjà pris fin")


async def test_a_withdrawal_by_link_gives_the_seat_to_the_next(front: Front, ask: Ask) -> None:
    session, _, link = await enrolled(front, capacity=1)
    next_one = an_agent()
    await front.enrol(session, next_one)
    await ask("POST", link, data={"confirmer": "oui"})
    assert await front.states(session, next_one) == ["enrolled"]


async def test_the_link_of_an_enrolment_that_ended_does_not_end_the_next_one(front: Front, ask: Ask) -> None:
    session, agent, link = await enrolled(front)
    await front.withdraw(session, agent)
    await front.enrol(session, agent)
    page(await ask("POST", link, data={"confirmer": "oui"}), 410, "Cette inscription a déjà pris fin")
    assert await front.states(session, agent) == ["enrolled"]


async def test_after_the_start_nobody_withdraws_by_the_link(front: Front, ask: Ask) -> None:
    now = datetime.now(UTC)
    session, agent, link = await enrolled(
        front, starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=6)
    )
    page(await ask("GET", link), 410, "Il est trop tard pour vous désister en ligne")
    answer = await ask("POST", link, data={"confirmer": "oui"})
    page(answer, 410, "Il est trop tard pour vous désister en ligne")
    assert await front.states(session, agent) == ["enrolled"]


# ------------------------------------------------------------------------------------------- certificate


async def record(front: Front, database: Database, session: SessionState, agent: Agent, *marks: str) -> str:
    """Attendance at each module, and what it made of the enrolment; returns the path of the certificate."""
    records = [
        (NamedAgent(agent.agent_id), number, Attendance(mark)) for number, mark in enumerate(marks, start=1)
    ]
    async with database.transaction() as tx:
        faults = await attendance.record(
            tx,
            session.session_id,
            records,
            organiser=Principal(name="advisor", role=Role.ORGANISER),
            policy=Policy(),
            now=session.ends_at,
        )
    assert faults == {}
    return path(Purpose.CERTIFICATE, (await front.of(session, agent)).enrolment_id)


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
    link = path(Purpose.CERTIFICATE, (await front.of(session, agent)).enrolment_id)
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
    ask: Ask, asking: Any, rows: Rows
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


# ------------------------------------------------------------------------------------------- bad links

ABOUT: dict[Purpose, tuple[UUID | int, ...]] = {
    Purpose.OFFER: (uuid4(), 2),
    Purpose.WITHDRAW: (uuid4(),),
    Purpose.CERTIFICATE: (uuid4(),),
}


@pytest.mark.parametrize("purpose", ABOUT)
async def test_a_forged_link_is_not_found(ask: Ask, purpose: Purpose) -> None:
    mine = path(purpose, *ABOUT[purpose])
    another = next(other for other in ABOUT if other is not purpose)
    token_of_another = path(another, *ABOUT[another]).rpartition("/")[2]
    for forged in (
        path(purpose, *ABOUT[purpose], key="another key of thirty-two characters for tests"),
        mine[:-1],
        f"{purpose.value}/{token_of_another}",
        f"{purpose.value}/é",
        path(purpose),
        path(purpose, "nobody", "2"),
        path(Purpose.OFFER, uuid4(), "two") if purpose is Purpose.OFFER else path(purpose, ""),
        f"{purpose.value}/{'x' * 20_000}",
    ):
        page(await ask("GET", forged), 404, "Ce lien n’est pas valable")
        if purpose is not Purpose.CERTIFICATE:
            page(await ask("POST", forged, data={"reponse": "oui"}), 404, "Ce lien n’est pas valable")


@pytest.mark.parametrize(
    ("purpose", "title"),
    [
        (Purpose.OFFER, "Le délai pour répondre est passé"),
        (Purpose.WITHDRAW, "Ce lien a expiré"),
        (Purpose.CERTIFICATE, "Ce lien a expiré"),
    ],
)
async def test_an_expired_link_is_gone(ask: Ask, purpose: Purpose, title: str) -> None:
    page(await ask("GET", path(purpose, *ABOUT[purpose], until=datetime.now(UTC))), 410, title)


@pytest.mark.parametrize("purpose", ABOUT)
async def test_the_link_of_an_enrolment_that_was_erased_is_gone(ask: Ask, purpose: Purpose) -> None:
    page(await ask("GET", path(purpose, *ABOUT[purpose])), 410, "Cette inscription n’existe plus")


async def test_without_a_signing_key_no_link_is_known(asking: Any) -> None:
    without: Ask = asking()
    page(await without("GET", path(Purpose.WITHDRAW, uuid4())), 404, "Ce lien n’est pas valable")


async def test_a_form_that_is_too_large_or_broken_is_refused(front: Front, ask: Ask) -> None:
    session, agent, link = await an_offer(front)
    too_large = await ask("POST", link, data={"reponse": "oui", "more": "x" * 3_000_000})
    assert too_large.status_code == 413
    fields = await ask("POST", link, data={f"field-{number}": "" for number in range(50)})
    assert fields.status_code == 400
    assert await front.states(session, agent) == ["offered"]


async def test_while_the_database_is_away_a_page_says_so(
    asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("services.enrolment.store.enrolments.find", away)
    ask: Ask = asking(link_signing_key=KEY)
    answer = await ask("GET", path(Purpose.WITHDRAW, uuid4()))
    page(answer, 503, "Le service est momentanément indisponible")
