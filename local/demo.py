"""`demo`: a day of enrolments on the whole system, and books that are checked to the last mail.

Owns the beginning, the end and the exit code. `acts.py` plays the day, `scenario.py` says who asks for what,
`books.py` what should become of it; `audit.py` reads what did, `verdict.py` compares, `report.py` shows it.
"""

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

from local import audit, verdict
from local.acts import Acts, Say
from local.failures import LocalStackError
from local.report import summary
from local.running import OFFER_DAY, signals_interrupt
from local.stack import Stack, StackOptions, remove_data

# A rehearsal is more impatient than the day it rehearses.
IMPATIENCE = {
    "ENROLMENT_PENDING_SESSION_SECONDS": "20",
    "ENROLMENT_LONGEST_HOLD_SECONDS": "8",
    "ENROLMENT_GRACE_SECONDS": "1",
}


def demo(options: StackOptions, say: Say) -> int:
    """Play the demonstration and return the exit code: 0 when the books and the system agree.

    Runs on databases and a broker of its own, made anew, so that what `run` keeps stays as it is.
    """
    began = time.monotonic()
    if options.environment.get("SMTP_HOST"):
        raise LocalStackError("the demonstration reads its own mailbox: run it without SMTP_HOST")
    options = replace(
        options,
        data=options.directory / "demo",
        fresh=True,
        extra={**options.extra, **IMPATIENCE},
    )
    with signals_interrupt():
        try:
            say("Starting Parcours …")
            with Stack(options, say) as stack:
                if not asyncio.run(audit.is_empty(stack.database_url("enrolment"))):
                    raise LocalStackError(
                        "the demonstration needs an empty enrolment database; this one is in use"
                    )
                say(stack.load_offer(OFFER_DAY.isoformat()))
                report = asyncio.run(_play(stack, say, began))
                (stack.directory / "demo.json").write_text(json.dumps(report.json, indent=2) + "\n")
                say(report.text)
                say("Stopping …")
        except KeyboardInterrupt:
            say("Interrupted.")
            return 130
    if report.clean:
        remove_data(options.directory / "demo")
    verdict = "Every seat and every mail is accounted for" if report.clean else "THE BOOKS DO NOT AGREE"
    say(f"{verdict}: {options.directory / 'demo.json'}")
    return 0 if report.clean else 1


@dataclass(frozen=True)
class Report:
    """What `demo.json` holds, and the same for a person."""

    json: dict[str, Any]
    text: str
    clean: bool


async def _play(stack: Stack, say: Say, began: float) -> Report:
    """Play the day, and compare what happened with the books."""
    async with Acts(stack, say, began, secrets.token_hex(3)) as acts:
        await acts.play()
        return await _compare(stack, acts, began)


async def _compare(stack: Stack, acts: Acts, began: float) -> Report:
    books, decisions, url = acts.books, acts.decisions, stack.database_url
    found = verdict.compare_answers(books, decisions)
    verdict.compare_offers(books, decisions, found)
    verdict.compare_enrolments(books, decisions, found)
    verdict.compare_selection(books, acts.selected, found)
    superseded = await audit.superseded_mails(url("notifier"))
    verdict.compare_mails(books, acts.mails, found, superseded)
    verdict.compare_seats(books, await audit.seats(url("enrolment"), list(books.sessions)), found)
    capacities = {session_id: book.facts.capacity for session_id, book in books.sessions.items()}
    verdict.compare_moments(capacities, await audit.decisions_in_order(url("enrolment")), found)
    undecided = len(books.asked) - 1 - await audit.decided(url("enrolment"), list(books.asked))
    found.note("wrong", undecided, "requests without an outcome in the database")
    parked = await audit.parked(url("enrolment"))
    found.note("lost", max(0, acts.unreadable - parked), "unreadable records that were not parked")
    found.note("wrong", max(0, parked - acts.unreadable), "readable records that were parked")
    trouble = await audit.mails_in_trouble(url("notifier"))
    found.note("wrong", sum(trouble.values()), f"mails in the queue that are not sent: {trouble}")
    report = {
        "requests": books.due(),
        "answers": verdict.answered(books, decisions),
        **verdict.figures(books, decisions),
        "selection": acts.selected,
        "mails_expected": books.mails.total() - superseded.total(),
        "mails_received": acts.mails.received.total(),
        "mails_superseded": superseded.total(),
        "lost": found.lost,
        "duplicated": found.duplicated,
        "overbooked": found.overbooked,
        "parked": parked,
        "seconds": round(time.monotonic() - began, 1),
    }
    text = summary(report, books, decisions, acts.mails.received, found.details)
    return Report(report, text, found.clean)
