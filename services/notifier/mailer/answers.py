"""What an attempt came to, and how a relay's answers are read (RFC 5321, 4.2.1)."""

import re
from dataclasses import dataclass
from enum import StrEnum

import aiosmtplib


class Verdict(StrEnum):
    """What an attempt came to."""

    SENT = "sent"
    RETRY = "retry"
    """Surely not accepted; may be later."""
    FAILED = "failed"
    """Surely not accepted, and never will be."""
    AMBIGUOUS = "ambiguous"
    """DATA had begun and no answer came: the relay may have it."""
    NOT_OURS = "not_ours"
    """The mark was refused: somebody else has the mail now. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, the relay's code if it gave one, and its words or ours. Never an address.

    ``bad_address`` is the RFC 3463 code with which the relay refused the recipient, where that says that the
    address is bad, and not that this mail is.
    """

    verdict: Verdict
    code: int | None
    answer: str
    bad_address: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait. Short ones after the final dot make duplicates (RFC 5321, 4.5.3.2.6)."""

    connect: float = 30
    command: float = 60
    data: float = 120
    final: float = 600
    idle: float = 30
    """A connection unused for longer is not trusted any more: a firewall may have forgotten it."""


_ABOUT_THE_CONNECTION = {530, 534, 535, 538}
"""Authentication is wanted, or failed (RFC 4954, 6): nothing is wrong with the mail."""


class RelayUnreachable(Exception):
    """No usable connection to the relay; says why, with the relay's code if it gave one."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


def about_the_mail(response: aiosmtplib.SMTPResponse) -> None:
    """A refusal is about the mail, or this raises :class:`RelayUnreachable`."""
    if response.code in _ABOUT_THE_CONNECTION:
        raise RelayUnreachable(answer_of(response), response.code)


def refusal(response: aiosmtplib.SMTPResponse) -> Outcome:
    """A refusal: for good when the code begins with 5 (RFC 5321, 4.2.1), else to be tried again."""
    verdict = Verdict.FAILED if 500 <= response.code < 600 else Verdict.RETRY
    return Outcome(verdict, response.code, answer_of(response))


def answer_of(response: aiosmtplib.SMTPResponse) -> str:
    """A relay's words as they may be stored and shown."""
    return _discreet(response.message)


def words(error: BaseException) -> str:
    """An error's words, likewise; its name where it has none."""
    return _discreet(str(error)) or type(error).__name__


def _discreet(words: str) -> str:
    """On one line, storable, and without the address that relays like to quote."""
    shown = "".join(char if char.isprintable() else " " for char in words)
    return _ADDRESS.sub("(address)", " ".join(shown.split())).encode(errors="replace").decode()


_ADDRESS = re.compile(r"\S+@\S+")
