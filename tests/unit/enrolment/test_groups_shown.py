"""Who was enrolled together, as organisers read it."""

from datetime import timedelta

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.groups import BegunTogether, GroupKind, Replaced, enrolled_together
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.vocabulary import Agent
from tests.support.builders import DURING, an_agent
from tests.support.rosters import a_nomination, a_roster, decided

ONE, TWO = an_agent(), an_agent()


def named(roster: SessionRoster, *agents: Agent, hours: int) -> list[Enrolment]:
    """Those whom a list names that is received so many hours later."""
    decided(roster, a_nomination(roster, agents, received_at=DURING + timedelta(hours=hours)))
    return [roster.latest[agent.key] for agent in agents]


def test_a_newer_list_shows_whom_it_named_first_and_who_left_for_them() -> None:
    roster = a_roster(format="bespoke", audience={"sirets": [ONE.employer.siret]})
    [first] = named(roster, ONE, hours=0)
    [second] = named(roster, TWO, hours=1)
    left = Replaced(first, DURING + timedelta(hours=1), second.request_key)
    newer, older = enrolled_together(
        [BegunTogether(first, GroupKind.LIST), BegunTogether(second, GroupKind.LIST)], [left]
    )
    assert (newer.members, newer.replaced) == ([second], [first])
    assert (older.members, older.replaced) == ([first], [])
    assert newer.employers == [ONE.employer.name]


def test_a_list_that_only_shortens_the_one_before_has_no_members() -> None:
    roster = a_roster(format="bespoke", audience={"sirets": [ONE.employer.siret]})
    [first] = named(roster, ONE, hours=0)
    shorter = Replaced(first, DURING + timedelta(hours=2), RequestKey("", first.enrolment_id))
    newest, _ = enrolled_together([BegunTogether(first, GroupKind.LIST)], [shorter])
    assert (newest.kind, newest.members, newest.replaced) == (GroupKind.LIST, [], [first])
    assert newest.received_at == shorter.at
