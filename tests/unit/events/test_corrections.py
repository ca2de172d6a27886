"""What an agent is called and written to by the corrections after a moment: the newest word wins."""

from datetime import UTC, datetime, timedelta

from shared.events.corrections import Correction, Corrections
from tests.support.builders import an_agent

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
AGENT = an_agent("IEL-1", email="faute@exemple.fr", given_name="Zoe", family_name="Durand")


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def test_what_came_after_the_moment_is_applied_and_what_came_before_is_not() -> None:
    other = an_agent("IEL-2")
    corrections = Corrections(
        [
            Correction(AGENT.key, at(1), {"email": "zoe@exemple.fr", "given_name": "Zoé"}),
            Correction(other.key, at(2), {"email": "autre@exemple.fr"}),
            Correction(AGENT.key, at(3), {"email": "zoe.durand@exemple.fr"}),
        ]
    )
    both = corrections.apply(AGENT, at(0))
    assert (both.email, both.given_name, both.family_name) == ("zoe.durand@exemple.fr", "Zoé", "Durand")
    newest = corrections.apply(AGENT, at(1))
    assert (newest.email, newest.given_name) == ("zoe.durand@exemple.fr", "Zoe")
    assert corrections.apply(AGENT, at(3)) == AGENT
    assert corrections.apply(an_agent("IEL-3", email="seul@exemple.fr"), at(0)).email == "seul@exemple.fr"
    assert Corrections().apply(AGENT, at(0)) == AGENT


def test_what_newer_ones_say_of_an_agent_is_told_by_field() -> None:
    corrections = Corrections(
        [
            Correction(AGENT.key, at(1), {"email": "zoe@exemple.fr", "given_name": "Zoé"}),
            Correction(AGENT.key, at(3), {"email": "zoe.durand@exemple.fr"}),
        ]
    )
    assert corrections.since(AGENT.key, at(0)) == {"email": "zoe.durand@exemple.fr", "given_name": "Zoé"}
    assert corrections.since(AGENT.key, at(1)) == {"email": "zoe.durand@exemple.fr"}
    assert corrections.since(AGENT.key, at(3)) == {}
