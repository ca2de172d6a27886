import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range for outgoing connections on Linux (32768 up) and macOS (49152 up): a server that is started
# again on its port must not find a client's socket there.
FIRST, LAST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    # macOS lets a loopback bind succeed beside a server on every address, so only a connection shows it.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(0.5)
        return client.connect_ex((LOOPBACK, port)) != 0


_given: set[int] = set()
"""The ports that this process has given. Nothing may listen there yet."""


def free_port() -> int:
    """Return a random port, so that parallel test runs rarely meet. Never returns a port twice."""
    for _ in range(500):
        port = random.randint(FIRST, LAST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free TCP port between {FIRST} and {LAST} on {LOOPBACK}")


def standard_or_free(standard: int) -> int:
    return standard if is_free(standard) else free_port()
