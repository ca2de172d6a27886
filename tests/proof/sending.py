"""Model of the queue of mails: two deliverers, a mail relay whose replies may be lost, and one mail.

Promises: the mail relay takes the mail once at most, or again after a person's decision; the queue knows it;
only a fault makes a mail ambiguous.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.proof.explorer import replaced

TRIES = 2
DECISIONS = 1
FAULTS = 2


class DelivererState(NamedTuple):
    """``reply``: what the mail relay said, or None if the connection was lost before it said anything."""

    step: str = "waits"
    claim: int = 0
    reply: str | None = None


class SendingState(NamedTuple):
    """``mail``, ``owner`` and ``claim`` are the row; ``taken``: how often the mail relay took the mail.

    ``allowed`` is how often it may: once. A decision allows once more, besides a DATA that is under way then.
    """

    mail: str = "pending"
    owner: int | None = None
    claim: int = 0
    deliverers: tuple[DelivererState, ...] = (DelivererState(), DelivererState())
    taken: int = 0
    refused: int = 0
    allowed: int = 1
    decided: int = 0
    faults: int = FAULTS


START = SendingState()


@dataclass(frozen=True)
class SendingProtocol:
    """The protocol. Each switch leaves out one of its rules."""

    marks_before_data: bool = True
    marks_own_claim_only: bool = True
    settles_own_claim_only: bool = True
    keeps_marked_after_lease: bool = True
    """False: a mail whose DATA had begun returns to the queue when its lease ends."""
    trusts_no_lost_reply: bool = True
    """False: a lost reply counts as a refusal."""
    start: SendingState = START

    def steps(self, state: SendingState) -> Iterator[tuple[str, SendingState]]:
        for number in range(len(state.deliverers)):
            yield from self._deliverer_steps(state, number)
        if state.mail == "ambiguous" and state.decided < DECISIONS:
            in_data = sum(own.step == "marked" for own in state.deliverers)
            again = state._replace(
                mail="pending", owner=None, allowed=state.taken + in_data + 1, decided=state.decided + 1
            )
            yield "somebody has the ambiguous mail sent again", again

    def _deliverer_steps(self, state: SendingState, number: int) -> Iterator[tuple[str, SendingState]]:
        own, name = state.deliverers[number], f"deliverer {number}"
        match own.step:
            case "waits" if state.mail == "pending":
                claimed = state._replace(mail="claimed", owner=number, claim=state.claim + 1)
                own = DelivererState("claimed", claim=claimed.claim)
                yield f"{name} claims the mail", _with_deliverer(claimed, number, own)
            case "claimed" if self.marks_before_data:
                yield from self._mark(state, number, then="marked")
            case "claimed" | "marked":
                yield from _data(state, number)
            case "replied" if self.marks_before_data:
                yield self._settle(state, number)
            case "replied":
                yield from self._mark(state, number, then="settles")
            case "settles":
                yield self._settle(state, number)

    def _mark(self, state: SendingState, number: int, then: str) -> Iterator[tuple[str, SendingState]]:
        own, name = state.deliverers[number], f"deliverer {number}"
        holds = state.mail == "claimed" and state.owner == number and state.claim == own.claim
        if holds or not self.marks_own_claim_only:
            after = state._replace(mail="data_started")
            yield f"{name} marks that DATA begins", _with_deliverer(after, number, own._replace(step=then))
        else:
            yield f"{name} finds its claim ended", _with_deliverer(state, number, DelivererState())

    def _settle(self, state: SendingState, number: int) -> tuple[str, SendingState]:
        own = state.deliverers[number]
        reply = "refused" if own.reply is None and not self.trusts_no_lost_reply else own.reply
        mail = {"taken": "sent", "refused": "pending", None: "ambiguous"}[reply]
        if mail == "pending" and state.refused >= TRIES:
            mail = "failed"
        holds = state.owner == number and state.claim == own.claim
        open_ = state.mail in {"claimed", "data_started", "ambiguous"}
        after = _with_deliverer(state, number, DelivererState())
        if (holds and open_) or not self.settles_own_claim_only:
            after = after._replace(mail=mail)
        return f"deliverer {number} settles: {reply}", after

    def faults(self, state: SendingState) -> Iterator[tuple[str, SendingState]]:
        if not state.faults:
            return
        after = state._replace(faults=state.faults - 1)
        if state.mail == "claimed":
            yield "the lease of the claim ends", after._replace(mail="pending", owner=None)
        if state.mail == "data_started":
            mail = "ambiguous" if self.keeps_marked_after_lease else "pending"
            yield "the lease of the mark ends", after._replace(mail=mail)
        for number, own in enumerate(state.deliverers):
            if own.step == "replied":
                lost = _with_deliverer(after, number, own._replace(reply=None))
                yield f"the reply to deliverer {number} is lost", lost
            if own.step != "waits":
                killed = _with_deliverer(after, number, DelivererState())
                yield (
                    f"deliverer {number} is killed",
                    _lease_ends(killed, number, self.keeps_marked_after_lease),
                )

    def broken(self, state: SendingState, *, at_rest: bool) -> str | None:
        if state.taken > state.allowed:
            return "the mail relay takes a mail once at most"
        if at_rest and state.mail not in {"sent", "failed", "ambiguous"}:
            return "each mail ends"
        if at_rest and state.mail == "sent" and not state.taken:
            return "a mail that counts as sent was taken"
        if at_rest and state.mail == "failed" and state.taken and not state.decided:
            return "a mail that counts as failed was not taken"
        if at_rest and state.mail == "ambiguous" and state.faults == FAULTS:
            return "a mail is ambiguous only after a fault"
        return None


def _data(state: SendingState, number: int) -> Iterator[tuple[str, SendingState]]:
    own = state.deliverers[number]
    taken = _with_deliverer(state, number, own._replace(step="replied", reply="taken"))
    yield f"the mail relay takes the mail of deliverer {number}", taken._replace(taken=state.taken + 1)
    if state.refused < TRIES:
        refused = _with_deliverer(state, number, own._replace(step="replied", reply="refused"))
        yield (
            f"the mail relay refuses deliverer {number} for now",
            refused._replace(refused=state.refused + 1),
        )


def _lease_ends(state: SendingState, number: int, keeps_marked: bool) -> SendingState:
    """The lease of a process that was killed ends in any case."""
    if state.owner != number:
        return state
    if state.mail == "claimed" or (state.mail == "data_started" and not keeps_marked):
        return state._replace(mail="pending", owner=None)
    return state._replace(mail="ambiguous") if state.mail == "data_started" else state


def _with_deliverer(state: SendingState, number: int, deliverer: DelivererState) -> SendingState:
    return state._replace(deliverers=replaced(state.deliverers, number, deliverer))
