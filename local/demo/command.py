import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

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
    if options.environment.get("SMTP_HOST"):
        raise LocalStackError("the demonstration reads its own mailbox: run it without SMTP_HOST")
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
    with signals_interrupt():
        try:
            say("Starting Parcours …")
            with Stack(options, say) as stack:
                if not asyncio.run(is_empty(stack.database_url("enrolment"))):
                    raise LocalStackError(
                        "the demonstration needs an empty enrolment database; this one is in use"
                    )
                agreed = asyncio.run(_play(stack, portals, say, began, crowd))
                say("Stopping …")
        except KeyboardInterrupt:
            say("Interrupted.")
            return 130
    if agreed:
        remove_data(options.directory / "demo")
    result = (
        "Every seat and every mail is accounted for" if agreed else "SEATS OR MAILS ARE NOT ACCOUNTED FOR"
    )
    say(f"{result}: {options.directory / 'demo.json'}")
    return 0 if agreed else 1


async def _play(stack: Stack, portals: Path, say: Say, began: float, crowd: Crowd) -> bool:
    signing = credentials.signing_keys(portals)
    keys = {name: SigningKey.of(*signing[name]) for name in PORTALS}
    async with Day.begin(stack, keys, say, began) as day:
        await day.play(crowd)
        observed = await day.observed()
    differences = compare(day.model, observed)
    report = figures(day.model, observed, differences) | {"seconds": round(time.monotonic() - began, 1)}
    (stack.directory / "demo.json").write_text(json.dumps(report, indent=2) + "\n")
    say(summary(report, day.model, observed, differences.details))
    return not differences.details
