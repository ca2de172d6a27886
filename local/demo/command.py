import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from local import credentials
from local.demo.comparison import compare, figures
from local.demo.day import Day
from local.demo.decisions import is_empty
from local.demo.progress import Say
from local.demo.requests import Crowd
from local.demo.sessions import ORGANISERS_ADDRESS, WITH_CONTACT
from local.demo.summary import summary
from local.failures import LocalStackError
from local.folder import remove_data, writing
from local.portal.envelope import SigningKey
from local.running import OFFER_DAY, signals_interrupt
from local.stack import Stack, StackOptions

PORTALS = ("inscriptions-en-ligne", "portail-bretagne", "portail-la-reunion")

# The demonstration waits less than an installation, unless its environment sets another time.
IMPATIENCE = {
    "ENROLMENT_PENDING_SESSION_SECONDS": "12",
    "ENROLMENT_LONGEST_HOLD_SECONDS": "8",
    "ENROLMENT_GRACE_SECONDS": "1",
}
FULL_DAY = Crowd()


def demo(options: StackOptions, say: Say, crowd: Crowd = FULL_DAY) -> int:
    """Return 0 if the model and the system agree.

    It uses new databases and a new broker, so that the data of `make run` stays.
    """
    began = time.monotonic()
    with writing(options.directory):
        portals = credentials.portals_file(options.directory, PORTALS, issuer="demo")
    environment = {
        **IMPATIENCE,
        **options.environment,
        "PORTALS_FILE": str(portals),
        "DELEGATION_CONTACTS": json.dumps({WITH_CONTACT: {"organisers": [ORGANISERS_ADDRESS]}}),
    }
    options = replace(
        options,
        data=options.directory / "demo",
        fresh=True,
        offer_day=lambda _: OFFER_DAY,
        environment=environment,
    )
    results = options.directory / "demo.json"

    async def play(stack: Stack) -> bool:
        if not await is_empty(stack.database_url("enrolment")):
            raise LocalStackError("the demonstration needs an empty enrolment database; this one is in use")
        return await _play(stack, portals, say, began, crowd)

    return on_stack(options, say, play, options.directory / "demo", results)


def on_stack(
    options: StackOptions,
    say: Say,
    play: Callable[[Stack], Coroutine[Any, Any, bool]],
    data: Path,
    results: Path,
) -> int:
    """Return 0 if what was played came out as expected. Then its data are removed."""
    if options.environment.get("SMTP_HOST"):
        raise LocalStackError("all mails are checked in the stack's own mailbox: run it without SMTP_HOST")
    with signals_interrupt():
        try:
            say("Starting Parcours …")
            with Stack(options, say) as stack:
                agreed = asyncio.run(play(stack))
                say("Stopping …")
        except KeyboardInterrupt:
            say("Interrupted.")
            return 130
    if agreed:
        remove_data(data)
    result = (
        "Every seat and every mail is accounted for"
        if agreed
        else f"SEATS OR MAILS ARE NOT ACCOUNTED FOR (see also the files in {data})"
    )
    say(f"{result}: {results}")
    return 0 if agreed else 1


async def _play(stack: Stack, portals: Path, say: Say, began: float, crowd: Crowd) -> bool:
    signing = credentials.signing_keys(portals)
    keys = {name: SigningKey.of(*signing[name]) for name in PORTALS}
    async with Day.begin(stack, keys, say, began) as day:
        report, agreed = await check(day, day.acts(crowd), say, began)
    (stack.directory / "demo.json").write_text(json.dumps(report, indent=2) + "\n")
    return agreed


async def check(
    day: Day, acts: Coroutine[Any, Any, None], say: Say, began: float
) -> tuple[dict[str, Any], bool]:
    """Play the acts, and return the figures and whether the model and the system agree."""
    await day.play(acts)
    observed = await day.observed()
    differences = compare(day.model, observed)
    report = figures(day.model, observed, differences) | {"seconds": round(time.monotonic() - began, 1)}
    say(summary(report, day.model, observed, differences.details))
    return report, not differences.details
