"""The simulated portal speaks the contract without importing it; the services' reader judges."""

import uuid
from random import Random

import pytest

from local.people import Population
from local.portal import Ask, Headers, Kind, Mode, Portal, rubbish
from shared.events import cloudevents
from shared.events.portal import EVENTS

PORTAL = Portal("essai", {})


def an_ask(kind: Kind = Kind.ENROLMENT, mode: Mode = Mode.BINARY) -> Ask:
    people = Population("abc", Random(1))
    agents = (people.agent("bretagne"), people.agent("bretagne"))
    return Ask(str(uuid.uuid4()), agents[0], kind, mode, agents=agents, says_yes=False)


def text_of(headers: Headers) -> dict[str, str]:
    return {name: value.decode() for name, value in headers if value is not None and value.isascii()}


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("kind", Kind)
def test_what_a_portal_sends_is_what_the_contract_says(kind: Kind, mode: Mode) -> None:
    ask = an_ask(kind, mode)
    value, headers = PORTAL.record(ask)
    read = cloudevents.decode(text_of(headers), value, structured=True)
    assert isinstance(read, cloudevents.Envelope)
    (event,) = [one for one in EVENTS if one.__name__ == kind]
    assert isinstance(read.data, event)
    assert str(read.id) == ask.ce_id
    assert (read.data.TOPIC, read.data.key) == (ask.topic, ask.key)


def test_every_spoilt_record_is_unreadable_and_the_unknown_type_is_not() -> None:
    spoilt = rubbish(PORTAL, an_ask())
    assert len(spoilt.parked) >= 12
    for _, value, headers in spoilt.parked:
        with pytest.raises(cloudevents.Unreadable):
            cloudevents.decode(text_of(headers), value, structured=True)
    for _, value, headers in spoilt.ignored:
        assert isinstance(
            cloudevents.decode(text_of(headers), value, structured=True), cloudevents.UnknownType
        )
