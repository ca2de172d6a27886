import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from local import credentials, kafka
from local.api_client import ApiClient
from local.clock import MovedClock
from local.demo.portal import Portal
from local.failures import LocalStackError
from local.folder import remove_data, writing
from local.portal.envelope import SigningKey
from local.running import signals_interrupt
from local.services import SERVICES
from local.stack import BrokerKind, Stack, StackOptions
from local.year import situations
from local.year.acts import Year, paris
from local.year.hearing import Answers, heard_by
from local.year.keeping import RETENTION, Finding, look_for_everybody
from local.year.quiet import Quiet
from local.year.script import Say, Script
from local.year.timeline import Timeline, compare

ANNOUNCEMENT = "2025-02-26 09:00"
_PORTAL = "portail-de-l-annee"


def year(broker: BrokerKind | None, directory: Path, say: Say) -> int:
    """Return 0 if every person got the expected letters and answers.

    Without a `broker`, play a year on each kind, on Apache Kafka if it can run.
    """
    if os.environ.get("SMTP_HOST"):
        raise LocalStackError("the year reads its own mailbox: run it without SMTP_HOST")
    brokers: list[BrokerKind] = [broker] if broker is not None else ["embedded", "kafka"]
    problem = kafka.missing_tools()
    if problem is not None and broker is None and not os.environ.get("CI"):
        say(f"The year is NOT played on Apache Kafka. {problem}")
        brokers.remove("kafka")

    def play(kind: BrokerKind) -> int:
        if kind == "kafka" and problem is None:
            kafka.prepare()  # fetched now, because no server's certificate is valid in another year
        with MovedClock.lend(paris(ANNOUNCEMENT)) as clock:
            return _play(StackOptions(broker=kind, directory=directory), clock, say)

    return in_turn(brokers, play, say)


def in_turn(brokers: Sequence[BrokerKind], play: Callable[[BrokerKind], int], say: Say) -> int:
    """The first signal ends the present year, and begins no other."""
    with signals_interrupt():
        try:
            return max([play(kind) for kind in brokers])
        except KeyboardInterrupt:
            say("Interrupted.")
            return 130


def _play(options: StackOptions, clock: MovedClock, say: Say) -> int:
    began = time.monotonic()
    with writing(options.directory):
        portals = credentials.portals_file(options.directory, [_PORTAL], issuer="annee")
    options = replace(
        options,
        data=options.directory / "data",
        fresh=True,
        offer_day=lambda _: paris(ANNOUNCEMENT).date(),
        environment={**options.environment, **_settings(), "PORTALS_FILE": str(portals)},
    )
    say(f"Starting Parcours on {ANNOUNCEMENT[:10]}, with the broker {options.broker} …")
    with Stack(options, say) as stack:
        timelines, findings = asyncio.run(_walk(stack, clock, portals, say))
        say("Stopping …")
    agreed = _report(timelines, findings, say)
    if agreed:
        remove_data(options.directory / "data")
    result = (
        "Everybody heard what they are to hear" if agreed else "NOT EVERYBODY HEARD WHAT THEY ARE TO HEAR"
    )
    say(f"{result} ({options.broker}, {time.monotonic() - began:.0f} s)")
    return 0 if agreed else 1


def _settings() -> dict[str, str]:
    people, _ = situations.load()
    contacts = {name: {"organisers": [people[name].email]} for name in ("inet", "bretagne")}
    return {"DELEGATION_CONTACTS": json.dumps(contacts), "BOUNCE_ADDRESS": "retours@cnfpt.example"}


async def _walk(
    stack: Stack, clock: MovedClock, portals: Path, say: Say
) -> tuple[dict[str, list[Timeline]], list[Finding]]:
    urls = {service: stack.database_url(service) for service in SERVICES}
    people, played = situations.load()
    async with AsyncExitStack() as connections:
        enter = connections.enter_async_context
        answers = await enter(Answers.follow(f"portal.answers.{_PORTAL}", stack.kafka_client("year-reader")))
        portal = await enter(
            Portal.connect(
                _PORTAL,
                SigningKey.of(*credentials.signing_keys(portals)[_PORTAL]),
                stack.kafka_client("year-portal"),
                idempotent=stack.broker_is_idempotent,
                now=clock.now,
            )
        )
        apis = {
            service: await enter(ApiClient.connect(service, stack.url(service), stack.token))
            for service in SERVICES
        }
        plays = Year(stack, people, portal, apis=apis)
        await plays.find_mooc()
        quiet = await enter(Quiet.look(urls, stack.kafka_client("year-auditor"), clock))
        script = Script(clock, plays, quiet, say)
        findings = await script.play(played, urls)
        timelines = {
            f"{number}. {situation.title}  [{situation.rules}]": [
                compare(listener.name, listener.expected, heard_by(listener, plays, answers))
                for listener in situation.listeners
            ]
            for number, situation in enumerate(played, start=1)
        }
        for retention in RETENTION:
            await script.go_to(paris(retention.at))
            await script.start_services_again()
            findings.append(await look_for_everybody(urls, retention))
    return timelines, findings


def _report(timelines: Mapping[str, list[Timeline]], findings: Sequence[Finding], say: Say) -> bool:
    for title, of_situation in timelines.items():
        say("\n".join(["", title, *map(str, of_situation)]))
    say("\n".join(["", "Who is still known", *(f"  {finding}" for finding in findings)]))
    heard = [timeline for of_situation in timelines.values() for timeline in of_situation]
    differences = sum(timeline.differences for timeline in heard)
    say(f"\n{sum(len(timeline.lines) for timeline in heard)} lines, {differences} not as expected")
    return not differences and not any(finding.wrong for finding in findings)
