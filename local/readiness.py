import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from local.children import Child
from local.failures import LocalStackError
from local.ports import is_free


def wait_until(
    condition: Callable[[], bool],
    *,
    seconds: float,
    what: str,
    child: Child | None = None,
) -> None:
    """Raise `LocalStackError` after `seconds`, or as soon as `child` has ended.

    `what` is the subject of the error message, for example "an answer from Kafka".
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if child is not None and (code := child.exit_code()) is not None:
            raise LocalStackError(
                f"{child.name} ended with exit code {code} before it was ready; "
                f"its log is {child.log_file}:\n{child.last_lines()}"
            )
        if time.monotonic() > deadline:
            hint = f"; its log is {child.log_file}:\n{child.last_lines()}" if child else ""
            raise LocalStackError(f"{what} did not come within {seconds:g} s{hint}")
        time.sleep(0.05)


def wait_for_port(port: int, wanted_for: str) -> None:
    """Wait up to two seconds, because the port's process may be ending. Raises `LocalStackError`."""
    try:
        wait_until(lambda: is_free(port), seconds=2, what="the port")
    except LocalStackError:
        raise LocalStackError(
            f"TCP port {port}, wanted for {wanted_for}, is in use: stop what listens there, or choose another"
        ) from None


def kafka_answers(bootstrap_servers: str) -> bool:
    """Return whether the brokers answer and know of a live broker."""

    async def ask() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=3_000)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await admin.close()
            await asyncio.sleep(0.01)  # let aiokafka close a failed connection
        return bool(cluster["brokers"])

    with ThreadPoolExecutor(1) as pool:  # the caller may be in an event loop
        return pool.submit(asyncio.run, ask()).result()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
