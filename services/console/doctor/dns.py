import socket
from typing import Any

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.resolver import NXDOMAIN

_SECONDS = 5.0


class NoAnswer(Exception):
    """The name server is unknown, does not answer, or its answer is unreadable."""


def resolver(server: str | None, port: int) -> Resolver:
    """``server`` None is the machine's name server. Raises :class:`NoAnswer`."""
    try:
        found = Resolver(configure=server is None)
        if server is not None:
            found.nameservers = [str(socket.getaddrinfo(server, port)[0][4][0])]
    except (DNSException, OSError) as error:
        raise NoAnswer(f"no name server is known ({error})") from error
    found.port = port
    found.lifetime = _SECONDS
    return found


async def records(name: str, kind: str, ask: Resolver) -> list[str]:
    """Return the text of TXT, ``preference host`` of MX. Raises :class:`NoAnswer`."""
    try:
        answer = await ask.resolve(f"{name}.", kind, raise_on_no_answer=False)
    except NXDOMAIN:
        return []
    except (DNSException, OSError) as error:
        raise NoAnswer(f"the name server did not answer ({error})") from error
    return [_text(record) if kind == "TXT" else _exchange(record) for record in answer]


def _text(record: Any) -> str:
    """Join the strings of a TXT record (RFC 7208, 3.3)."""
    return b"".join(record.strings).decode("ascii", "replace")


def _exchange(record: Any) -> str:
    return f"{record.preference} {record.exchange.to_text(omit_final_dot=True)}"
