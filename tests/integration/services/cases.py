"""What the operations and the forms of a service can be about: one person, in each situation."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

from services.notifier.letters import digest_id
from shared import clock
from shared.process import Process
from shared.web.links import Links, Purpose
from tests.integration.catalogue.conftest import ADMIN, PORTAL, a_draft_of
from tests.integration.enrolment.conftest import Front
from tests.integration.services.lives import QUESTIONS, sessions_of_each_kind
from tests.support.builders import an_agent, open_now
from tests.support.marking import ADDRESS, PERSON
from tests.support.searching import MARK
from tests.support.statements import execute

Case = dict[str, Any]
"""What there is, by the names of parameters and fields."""
Answers = dict[str, list[str]]
"""What each operation or form answered."""
TOKENS = {"catalogue": [ADMIN], "enrolment": [ADMIN], "notifier": [PORTAL, ADMIN]}
OFFER = "ia-et-territoires"
IDENTITIES = ((PERSON.agent_id, "iel"), (f"{MARK}-before", "iel"), (f"{MARK}-twin", "ouest"))


def links_of(process: Process) -> Links:
    settings: Any = process.settings
    links: Links = settings.links
    return links


async def enrolments(process: Process) -> AsyncIterator[Case]:
    """The person's enrolment in a session of each kind, and one under another identifier beside it."""
    front, links = Front(process.database), links_of(process)
    employer = {"siret": "21350238800019", "name": f"{MARK}-employer", "delegation": "bretagne"}
    names = {"given_name": f"{MARK}-given", "family_name": f"{MARK}-family", "employer": employer}
    person, before, twin = (
        an_agent(agent_id, email=ADDRESS, issuer=issuer, **names) for agent_id, issuer in IDENTITIES
    )
    requests = "SELECT request_id FROM request WHERE agent_id = :agent_id ORDER BY decided_at DESC LIMIT 1"
    [request] = await execute(process.database, requests, agent_id=PERSON.agent_id)
    begun, other = open_now(), open_now(questions=QUESTIONS)
    await front.publish(other)
    now = clock.now()
    for session in (*sessions_of_each_kind(), begun):
        await front.publish(session)
        if session.capacity == 1:
            await front.enrol(session, before)
        await front.enrol(session, person, twin)
        if session.waiting_list == "offer":
            await front.withdraw(session, before)
        if session is begun:
            dates = {"enrolment_closes_at": now - timedelta(hours=3), "starts_at": now - timedelta(hours=2)}
            await front.change(session, **dates)
        row = await front.of(session, person)
        case: Case = {
            "session_id": session.session_id,
            "enrolment_id": row.enrolment_id,
            "enrolment_ids": [str(row.enrolment_id)],
            "to_session_id": str(other.session_id),
            "twin": str((await front.of(session, twin)).enrolment_id),
            "ranked": [agent.key._asdict() for agent in (person, twin)],
            "not_selected": [],
            "send_at": None,
            "siret": "21440109300015",
            "ce_id": request.request_id,
        }
        ids = (str(row.enrolment_id), str(links.mark(ADDRESS)), str(row.version))
        given = await execute(process.database, "SELECT request_id FROM new_address")
        for purpose in Purpose:
            case[purpose.value] = links.token(purpose, *ids, until=now + timedelta(days=9))
        if given:
            confirm = links.confirm_address(str(given[0].request_id), ADDRESS, now + timedelta(hours=9))
            case[Purpose.CONFIRM_ADDRESS.value] = confirm.rpartition("/")[2]
        yield case


async def offers(process: Process) -> AsyncIterator[Case]:
    """The newest sessions, resources and requests of authorities."""
    newest = {
        "session_id": "SELECT session_id FROM session ORDER BY starts_at DESC",
        "resource_id": "SELECT resource_id FROM resource ORDER BY published_at DESC",
        "bespoke_id": "SELECT bespoke_id FROM bespoke_request ORDER BY received_at DESC",
    }
    found = {name: await execute(process.database, query) for name, query in newest.items()}
    for number in range(3):
        known = {name: str(rows[number][0]) for name, rows in found.items() if number < len(rows)}
        closes_at = (clock.now() + timedelta(days=9)).isoformat()
        yield (
            a_draft_of(OFFER)
            | {"enrolment_closes_at": closes_at, "organiser": "bretagne"}
            | known
            | {
                "experts": [MARK],
                "trainers": [{"name": MARK, "email": ADDRESS}],
            }
        )


async def mails(process: Process) -> AsyncIterator[Case]:
    """Letters to the person, one of which has left, and what their links open."""
    database, links = process.database, links_of(process)
    letters = await execute(database, "SELECT mail_id FROM mail ORDER BY created_at, mail_id LIMIT 2")
    sent = "UPDATE mail SET state = 'sent', settled_at = now() WHERE mail_id = :id"
    await execute(database, sent, id=letters[0].mail_id)
    [session] = await execute(database, "SELECT session_id FROM session LIMIT 1")
    subscribers = await execute(database, "SELECT subscriber_id FROM subscriber")
    requests = await execute(database, "SELECT request_id FROM subscription_request")
    mark, until = str(links.mark(ADDRESS)), clock.now() + timedelta(days=9)
    for letter in letters:
        case: Case = {"agent_id": PERSON.agent_id, "agent": PERSON.agent_id, "emetteur": PERSON.issuer}
        case |= {"mail_id": letter.mail_id, "session_id": session.session_id}
        for purpose in (Purpose.PREFERENCES, Purpose.SUBSCRIPTIONS, Purpose.UNSUBSCRIBE):
            for subscriber in subscribers:
                case[purpose.value] = links.token(purpose, str(subscriber.subscriber_id), mark, until=until)
        for request in requests:
            case[Purpose.CONFIRM.value] = links.token(Purpose.CONFIRM, str(request.request_id), until=until)
        case[Purpose.DIGEST.value] = links.token(
            Purpose.DIGEST, str(digest_id("bretagne")), mark, until=until
        )
        yield case


CASES: Mapping[str, Callable[[Process], AsyncIterator[Case]]] = {
    "catalogue": offers,
    "enrolment": enrolments,
    "notifier": mails,
}


def address_of(path: str, case: Case) -> str | None:
    """Return the address where the case is, or None if the case has nothing there."""
    known = case | {"token": case.get(path.rpartition("/")[0])}
    names = re.findall(r"\{(\w+)[^}]*\}", path)
    if any(known.get(name) is None for name in names):
        return None
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: str(known[found[1]]), path)
