"""Chooses the standard TCP port if it is free, otherwise another."""

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range that Linux (32768 up) and macOS (49152 up) hand to outgoing connections: a server that
# is stopped and started again on its port must not find a client's own socket sitting there.
FIRST, LAST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    # macOS lets a loopback bind succeed beside a server on every address; only a connection tells.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(0.5)
        return client.connect_ex((LOOPBACK, port)) != 0


_given: set[int] = set()
"""The ports that this process has given. Nothing may listen there yet."""


def free_port() -> int:
    """Return a free port that was not returned before. Random, so that parallel test runs rarely meet."""
    for _ in range(500):
        port = random.randint(FIRST, LAST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free TCP port between {FIRST} and {LAST} on {LOOPBACK}")


def standard_or_free(standard: int) -> int:
    return standard if is_free(standard) else free_port()
