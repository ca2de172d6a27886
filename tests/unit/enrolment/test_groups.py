"""Agents enrolled together: what the contracts let in, and how organisers read it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.groups import BegunTogether, GroupKind, Replaced, enrolled_together
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.portal import GroupEnrolmentRequested, TraineesNominated
from shared.events.vocabulary import Agent
from tests.support.builders import DURING, an_agent
from tests.support.rosters import RENNES, a_nomination, a_roster, agents, decided

OFFICER = {"name": "Paul Lefèvre", "email": "formation@ville-exemple.fr"}
FIRST, SECOND = an_agent(), an_agent()


@pytest.mark.parametrize(
    ("contract", "members"),
    [
        (GroupEnrolmentRequested, {"requested_by": OFFICER}),
        (TraineesNominated, {"nominated_by": OFFICER, "siret": RENNES}),
    ],
)
def test_a_group_and_a_list_are_of_1_to_500(contract: Any, members: dict[str, Any]) -> None:
    def sent(named: list[Agent]) -> int:
        return len(contract.model_validate({"session_id": uuid4(), "agents": named} | members).agents)

    several = agents(501)
    assert (sent(several[:1]), sent(several[:500])) == (1, 500)
    for number in (0, 501):
        with pytest.raises(ValidationError, match="agents"):
            sent(several[:number])


def test_a_group_in_which_an_agent_stands_twice_is_no_group() -> None:
    group = {"session_id": uuid4(), "agents": (FIRST, FIRST), "requested_by": OFFICER}
    with pytest.raises(ValidationError, match="stands twice"):
        GroupEnrolmentRequested.model_validate(group)


def named(roster: SessionRoster, agent: Agent, *, hours: int) -> Enrolment:
    """Return the enrolment of the agent whom a list names that is received so many hours later."""
    decided(roster, a_nomination(roster, [agent], received_at=DURING + timedelta(hours=hours)))
    return roster.latest[agent.key]


def test_a_newer_list_shows_its_new_agents_and_the_agents_who_left_for_them() -> None:
    roster = a_roster(format="bespoke", audience={"sirets": [RENNES]})
    first, second = named(roster, FIRST, hours=0), named(roster, SECOND, hours=1)
    left = Replaced(first, DURING + timedelta(hours=1), second.request_key)
    begun = [BegunTogether(first, GroupKind.LIST), BegunTogether(second, GroupKind.LIST)]
    newer, older = enrolled_together(begun, [left])
    assert (newer.members, newer.replaced) == ([second], [first])
    assert (older.members, older.replaced) == ([first], [])
    assert newer.employers == [FIRST.employer.name]


def test_a_list_that_only_shortens_the_last_has_no_members() -> None:
    first = named(a_roster(format="bespoke", audience={"sirets": [RENNES]}), FIRST, hours=0)
    shorter = Replaced(first, DURING + timedelta(hours=2), RequestKey("", first.enrolment_id))
    newest, _ = enrolled_together([BegunTogether(first, GroupKind.LIST)], [shorter])
    assert (newest.kind, newest.members, newest.replaced) == (GroupKind.LIST, [], [first])
    assert newest.received_at == shorter.at
