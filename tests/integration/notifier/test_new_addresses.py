"""A new address is asked whether it is the agent's; the address of now hears that one was given."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from services.notifier.store.bounces import digest_of
from shared import clock
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, NewAddressGiven
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_corrections import sent_to
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, a_session, an_agent

PRESENT, NEW = "zoe@ancienne.fr", "zoe@nouvelle.fr"
AGENT = an_agent(email=PRESENT)


def given(**changes: Any) -> NewAddressGiven:
    values = {
        "request_id": uuid4(),
        "enrolment_id": ENROLMENT_ID,
        "agent": AGENT,
        "new_address": NEW,
        "given_at": clock.now(),
    }
    return NewAddressGiven.model_validate(values | changes)


def corrected(email: str) -> AgentDetailsCorrected:
    return AgentDetailsCorrected(
        agent_id=AGENT.agent_id, issuer=AGENT.issuer, email=email, corrected_at=clock.now()
    )


async def heard(notifier: Notifier, *events: Any) -> dict[str, Any]:
    """What is written to whom, by template."""
    await notifier.hear(*events)
    return {row.template: row for row in await notifier.rows("*", "template LIKE '%address%'")}


async def test_the_letter_to_the_new_address_names_nobody_and_the_one_to_the_present_no_new_address(
    notifier: Notifier,
) -> None:
    letters = await heard(notifier, given())
    new, present = letters["confirm-address"], letters["address-given"]
    assert (new.address, new.given_name, new.family_name) == (NEW, "", "")
    assert AGENT.agent_id not in new.recipient, "it may be a stranger's"
    assert (present.address, present.recipient) == (PRESENT, AGENT.agent_id)
    assert NEW not in str(dict(present._mapping))
    assert PRESENT not in str(dict(new._mapping))


async def test_each_goes_to_its_address_also_when_it_was_confirmed_meanwhile(notifier: Notifier) -> None:
    """Who has lost their mailbox to somebody who corrects their address is told of it there."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled, agent=AGENT))
    await notifier.deliver()
    notifier.relay.taken.clear()
    await notifier.hear(given(), corrected(NEW))
    await notifier.deliver()
    assert sorted(sent_to(notifier)) == sorted([PRESENT, NEW])


async def test_an_address_from_which_mails_came_back_is_asked_all_the_same(notifier: Notifier) -> None:
    async with notifier.database.transaction() as tx:
        digests = [digest_of(tx, address) for address in (NEW, PRESENT)]
    for digest in digests:
        await notifier.change(
            "INSERT INTO suppression (address, kind, mail_id) VALUES (:address, 'hard', :mail)",
            address=digest,
            mail=UUID(int=0),
        )
    await notifier.hear(given())
    await notifier.deliver()
    assert sent_to(notifier) == [NEW]


async def test_a_letter_whose_link_has_expired_does_not_leave(notifier: Notifier) -> None:
    await notifier.hear(given(given_at=clock.now() - timedelta(days=1)))
    await notifier.deliver()
    assert sent_to(notifier) == [PRESENT]


async def test_one_that_is_read_after_a_newer_correction_is_no_question_any_more(notifier: Notifier) -> None:
    await notifier.hear(corrected("zoe@exemple.fr"))
    await notifier.hear(given(), at=clock.now() - timedelta(hours=1))
    assert await notifier.rows() == []
