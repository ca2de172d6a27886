"""The pages behind the links of letters: opening one changes nothing, an answer is decided by the rules."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from shared.database import Database
from shared.events.catalogue import SessionChanged, SessionState
from shared.events.vocabulary import Agent
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.visiting import KEY, enrolled, letter, page, path
from tests.support.builders import an_agent, open_now


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url="https://parcours.example")
    return it


async def an_offer(front: Front, **changes: Any) -> tuple[SessionState, Agent, str]:
    """A session, an agent to whom its one seat is offered, and the path of the letter's link."""
    session = open_now(**{"capacity": 1, "waiting_list": "offer"} | changes)
    first, second = an_agent(), an_agent()
    await front.publish(session)
    await front.enrol(session, first, second)
    await front.withdraw(session, first)
    assert (await front.of(session, second)).state == "offered"
    return session, second, await letter(front, Purpose.OFFER, session, second)


# ------------------------------------------------------------------------------------------- the offer


async def test_an_offer_is_shown_with_its_session_and_until_when(front: Front, ask: Ask) -> None:
    _, agent, link = await an_offer(front, title="L’IA & <vous>", venue="Rennes")
    text = page(await ask("GET", link), 200, "Une place s’est libérée")
    for shown in ("L’IA &amp; &lt;vous&gt;", "Rennes", "la délégation Bretagne du CNFPT", "heure de Paris"):
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
    page(await ask("POST", link, data={"reponse": "non"}), 200, "Vous avez refusé la place")
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
    newer = await letter(front, Purpose.OFFER, session, agent)
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
        path(purpose, uuid4(), "two"),
        path(purpose, uuid4(), 1, "two"),
        path(purpose, ""),
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
    async def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("services.enrolment.store.enrolments.find", away)
    ask: Ask = asking(link_signing_key=KEY)
    answer = await ask("GET", path(Purpose.WITHDRAW, uuid4()))
    page(answer, 503, "Le service est momentanément indisponible")
