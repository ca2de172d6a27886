"""Every way in which two processes and a fault can meet, in models of the protocols.

A model without one of its rules breaks a promise. Otherwise the model would prove nothing.
"""

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.proof.consuming import ConsumingProtocol
from tests.proof.explorer import explore
from tests.proof.feeds import FeedProtocol
from tests.proof.publishing import PublishingProtocol, PublishingState
from tests.proof.sending import SendingProtocol

PROTOCOLS: list[Any] = [
    PublishingProtocol(start=PublishingState(faults=1)),
    ConsumingProtocol(),
    SendingProtocol(),
    FeedProtocol(),
]
RULES = [(protocol, rule.name) for protocol in PROTOCOLS for rule in fields(protocol) if rule.name != "start"]
NEED_NO_FAULT = {"locks"}
"""A model without this rule breaks a promise by itself, and has too many states with a fault."""


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: type(protocol).__name__)
def test_no_meeting_of_processes_and_a_fault_breaks_a_promise(protocol: Any) -> None:
    explored = explore(protocol)
    assert explored.broken is None, explored
    assert explored.states > 50


@pytest.mark.parametrize(("protocol", "rule"), RULES, ids=[f"{type(p).__name__}-{rule}" for p, rule in RULES])
def test_without_one_of_its_rules_a_protocol_breaks_a_promise(protocol: Any, rule: str) -> None:
    start = protocol.start._replace(faults=0) if rule in NEED_NO_FAULT else protocol.start
    explored = explore(replace(protocol, **{rule: False}, start=start))
    assert explored.broken is not None, "the model does not need this rule"
    assert explored.trace
