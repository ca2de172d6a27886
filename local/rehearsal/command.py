import json
import statistics
import tempfile
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from local import credentials
from local.demo.command import PORTALS, check, on_stack
from local.demo.progress import Say
from local.folder import writing
from local.model.day import ReferenceModel
from local.people import TOWNS
from local.portal.envelope import SigningKey
from local.rehearsal import measuring, page
from local.rehearsal.hour import Hour, Rehearsal
from local.rehearsal.simulation import Costs
from local.running import OFFER_DAY
from local.stack import Stack, StackOptions

_MINUTES = 15
"""The length of the arrivals. A smaller rehearsal has shorter minutes."""


def rehearse(options: StackOptions, say: Say, size: float) -> int:
    """Return 0 if the model and the system agree. Everything is new, and Postgres is durable."""
    began = time.monotonic()
    shown = options.directory / "rehearsal.html"
    with writing(options.directory):
        options.directory.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=options.directory))
        registry = credentials.portals_file(folder, PORTALS, issuer="demo")
        rehearsal = Rehearsal(size, registry, credentials.organiser_tokens(folder, TOWNS))
    options = replace(
        options,
        directory=folder,
        offer_day=lambda _: OFFER_DAY,
        environment={"LOG_LEVEL": "WARNING", **options.environment, "PORTALS_FILE": str(registry)},
    )

    async def play(stack: Stack) -> bool:
        report = await _play(stack, rehearsal, say, began)
        shown.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
        shown.write_text(page.render(report))
        return bool(report["agreed"])

    return on_stack(options, say, play, folder, shown)


async def _play(stack: Stack, rehearsal: Rehearsal, say: Say, began: float) -> dict[str, Any]:
    keys = {name: SigningKey.of(*key) for name, key in credentials.signing_keys(rehearsal.registry).items()}
    urls = [stack.database_url(service) for service in ("enrolment", "notifier")]
    before = await measuring.bytes_stored(urls)
    async with Hour.begin(stack, keys, say, began) as hour:
        books, agreed = await check(hour, hour.rehearse(rehearsal), say, began)
    stored, logged = await measuring.bytes_stored(urls)
    minute = timedelta(seconds=rehearsal.seconds / _MINUTES)
    answers = await measuring.minutes_of_answers(urls[0], rehearsal.opened_at, minute)
    letters = await measuring.minutes_of_letters(urls[1], rehearsal.opened_at, minute)
    return {
        "books": books,
        "agreed": agreed,
        "agents": rehearsal.agents,
        "seconds": rehearsal.seconds,
        "minute": minute.total_seconds(),
        "sessions": len(hour.model.sessions),
        "broker": stack.options.broker,
        "answers": [asdict(each) for each in answers],
        "letters": [asdict(each) for each in letters],
        "events": [
            [what, (at - rehearsal.opened_at).total_seconds(), seconds]
            for what, at, seconds in sorted(rehearsal.happened, key=lambda each: each[1])
        ],
        "pages": {
            "number": len(rehearsal.pages),
            "median": statistics.median(rehearsal.pages),
            "slow": statistics.quantiles(rehearsal.pages, n=20)[18],
        },
        "cpu": rehearsal.used,
        "seats": _seats(hour.model),
        "costs": asdict(
            Costs.of(
                rehearsal.used,
                requests=sum(each.came for each in answers),
                letters=sum(each.came for each in letters),
                stored=stored - before[0],
                logged=logged - before[1],
            )
        ),
    }


def _seats(model: ReferenceModel) -> dict[str, dict[str, int]]:
    seats = {delegation: {"capacity": 0, "taken": 0, "waiting": 0} for delegation in TOWNS}
    for session in model.sessions.values():
        if not session.cancelled:
            of_delegation = seats[session.terms.organiser]
            of_delegation["capacity"] += session.terms.seats.capacity or 0
            of_delegation["taken"] += len(session.enrolled)
            of_delegation["waiting"] += len(session.waiting)
    return seats
