import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import FrameType
from zoneinfo import ZoneInfo

from local import credentials
from local.credentials import write_privately
from local.failures import LocalStackError
from local.kafka import missing_tools
from local.services import SERVICES
from local.stack import SENDER, BrokerKind, Stack, StackOptions

# The day of the offer that the first run shows as today: the MOOC and the local events are open for
# enrolment, the first webinar is over and has its replay, most sessions are still to come.
OFFER_DAY = date(2025, 3, 10)
_OFFER_STAYS = timedelta(days=18)  # then enrolment in the MOOC has closed, and the offer is moved again

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(options: StackOptions, say: Callable[[str], None], *, as_announced: bool = False) -> None:
    day = (lambda _: _today()) if as_announced else offer_day
    options = replace(options, example_portal=True, offer_day=day)
    with signals_interrupt(), contextlib.suppress(KeyboardInterrupt):
        say("Starting Parcours …")
        with Stack(options, say) as stack:
            say(links(stack))
            try:
                threading.Event().wait()
            finally:
                say("Stopping …")
    say(f"Stopped. What it kept is in {options.directory}.")


def best_broker(say: Callable[[str], None]) -> BrokerKind:
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return "embedded"  # the given broker is used, and this kind is never started
    problem = missing_tools()
    if problem is None:
        say("Broker: Apache Kafka, since Java and Maven are here (BROKER=embedded takes the one in memory).")
        return "kafka"
    say(f"Broker: the embedded one, which keeps nothing and kcat cannot talk to. {problem}")
    return "embedded"


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Turn the first signal into a `KeyboardInterrupt`. Ignore later ones, so that the stop is complete.

    A handler ignores them: with SIG_IGN each process that starts meanwhile would ignore them for ever.
    """

    def ignore(_number: int, _frame: FrameType | None) -> None:
        pass

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in _STOP_SIGNALS:
            signal.signal(number, ignore)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def offer_day(directory: Path, today: date | None = None) -> date:
    """Return the date in the offer's own calendar that corresponds to `today`.

    The first run stores its day. Later runs move the offer by the same number of days, so that loading it
    again changes nothing and sends no letter. The offer is moved anew only when enrolment in the MOOC would
    be over.
    """
    today = today or _today()
    path = directory / "offer-moved-on.json"
    try:
        first = date.fromisoformat(json.loads(path.read_text())["day"])
    except (OSError, ValueError, KeyError):
        first = None
    if first is None or not timedelta(0) <= today - first <= _OFFER_STAYS:
        first = today
        write_privately(path, json.dumps({"day": first.isoformat()}) + "\n")
    return OFFER_DAY + (today - first)


def _today() -> date:
    return datetime.now(ZoneInfo("Europe/Paris")).date()


def settings(directory: Path) -> dict[str, str]:
    try:
        stack = json.loads((directory / "stack.json").read_text())
    except FileNotFoundError:
        raise LocalStackError(f"no stack runs in {directory}: start one with `make run`") from None
    host, _, port = stack["smtp"].rpartition(":")
    return {
        "PARCOURS_TRIAL": "1",
        "PORTALS_FILE": os.environ.get("PORTALS_FILE", str(directory.absolute() / "portals.json")),
        "KAFKA_BOOTSTRAP_SERVERS": stack["kafka"],
        **{f"{service.upper()}_DATABASE_URL": stack[f"{service}_database_url"] for service in SERVICES},
        "SMTP_HOST": host,
        "SMTP_PORT": port,
        "SMTP_SENDER": SENDER,
        "LINK_SIGNING_KEY": credentials.link_signing_key(directory),
        "INTAKE_SIGNING_KEY": credentials.intake_signing_key(directory),
    }


def links(stack: Stack) -> str:
    lines = ["", "Parcours is ready:"]
    lines += [
        f"  {'the offer':<10} {stack.url('catalogue')}",
        f"  {'publish it':<10} {stack.url('catalogue')}/gestion",
        f"  {'organisers':<10} {stack.url('enrolment')}/inscriptions/gestion",
        f"  {'support':<10} {stack.url('notifier')}/courriels/suivi",
    ]
    if stack.portal is not None:
        lines.append(f"  {'portal':<10} {stack.portal.url}  (an example: asks for seats, hears the answers)")
    for service in SERVICES:
        count = sum(process.service == service for process in stack.services)
        lines.append(
            f"  {service:<10} {stack.url(service)}/docs" + (f"  ({count} processes)" if count > 1 else "")
        )
    lines += [
        f"  {'mails':<10} {stack.mailbox_url or 'at the SMTP server'}",
        f"  {'Kafka':<10} {stack.kafka}",
        f"  {'SMTP':<10} {':'.join(map(str, stack.smtp))}",
        f"  {'API token':<10} in {stack.directory / 'demo-token'}",
        f"  {'details':<10} {stack.directory / 'stack.json'}, logs in {stack.directory / 'logs'}",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines)
