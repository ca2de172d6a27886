"""A new address is asked whether it is the agent's; the address of now hears that one was given."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from shared import clock
from shared.events.enrolment import AgentEnrolled, NewAddressGiven
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import corrected
from tests.integration.notifier.test_corrections import sent_to
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, an_agent

PRESENT, NEW = "zoe@ancienne.fr", "zoe@nouvelle.fr"
AGENT = an_agent(email=PRESENT)


def given(**changes: Any) -> NewAddressGiven:
    of_agent = {"request_id": uuid4(), "enrolment_id": ENROLMENT_ID, "agent": AGENT}
    values = {"new_address": NEW, "given_at": clock.now()}
    return NewAddressGiven.model_validate(of_agent | values | changes)


async def test_the_letter_to_the_new_address_names_nobody_and_the_one_to_the_present_no_new_address(
    notifier: Notifier,
) -> None:
    await notifier.hear(given())
    new, present = await notifier.row_of("confirm-address"), await notifier.row_of("address-given")
    assert (new.address, new.given_name, new.family_name) == (NEW, "", "")
    assert AGENT.agent_id not in new.recipient, "it may be a stranger's"
    assert (present.address, present.recipient) == (PRESENT, AGENT.agent_id)
    assert NEW not in str(dict(present))
    assert PRESENT not in str(dict(new))


async def test_each_goes_to_its_address_also_when_it_was_confirmed_meanwhile(known: Notifier) -> None:
    """If somebody else has the mailbox and corrects the address, the agent learns of it there."""
    await known.hear(a_decision(AgentEnrolled, agent=AGENT))
    await known.change("UPDATE mail SET state = 'sent'")
    await known.hear(given(), corrected(NEW))
    await known.deliver()
    assert sorted(sent_to(known)) == [PRESENT, NEW]


async def test_an_address_from_which_mails_came_back_is_asked_all_the_same(notifier: Notifier) -> None:
    await notifier.suppress(NEW, PRESENT)
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
