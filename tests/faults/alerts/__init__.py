"""Each alert is made to fire by its cause, and ended by what its page in docs/runbooks says to do.

The three services, as processes, on an Apache Kafka and a Postgres of their own; a Prometheus that scrapes
them, with the rules of ``deploy/prometheus``. Causes are real; where one would have to last, rows are dated
back, and waits and windows of the rules are cut to seconds: ``rules_test.yml`` holds them to their length.
In the end Prometheus is asked whatever the dashboards of ``deploy/grafana`` ask.
"""

import asyncio
import shutil
import time
from contextlib import suppress

from tests.faults.alerts import enrolment, events, mails, services
from tests.faults.alerts.installed import AlertCause, Installed
from tests.faults.alerts.prometheus import EMPTY, Prometheus, dashboards, rules
from tests.faults.installation import Installation, an_installation
from tests.faults.users import Users, services_of
from tests.support.kafka import KafkaPortal
from tests.support.processes import ROOT, SERVICES
from tests.support.smtp import scripted_relay

CAUSES: list[AlertCause] = [*services.CAUSES, *events.CAUSES, *mails.CAUSES, *enrolment.CAUSES]

FIRES_SECONDS = 110.0
"""In which an alert fires, whose wait is cut to seconds: what has to be late is late after a minute."""
ENDS_SECONDS = 60.0
"""In which it ends, once what its page says is done."""


def play() -> list[str]:
    """Play all. Returns what went wrong; empty: nothing."""
    caused = {alert for cause in CAUSES for alert in cause.alerts}
    faults = [f"{alert}: no cause of it is known" for alert in sorted(rules().keys() - caused)]
    with an_installation(*SERVICES) as installation:
        for name in ("tokens", "portals"):
            shutil.copy(ROOT / "deploy" / f"try-out-{name}.json", installation.folder / f"{name}.json")
        faults += asyncio.run(_play(installation))
        if faults:
            for service in SERVICES:
                print((installation.folder / f"{service}.log").read_text()[-3000:], flush=True)
    return faults


async def _play(installation: Installation) -> list[str]:
    files = {
        "API_TOKENS_FILE": str(installation.folder / "tokens.json"),
        "PORTALS_FILE": str(installation.folder / "portals.json"),
        "KAFKA_CA_FILE": str(services.new_authority(installation.folder)),
    }
    async with (
        scripted_relay() as relay,
        KafkaPortal(installation.kafka.bootstrap_servers) as portal,
    ):
        users = Users(installation, portal, relay, services_of(installation, relay, **files))
        assert not await users.run("catalogue", "load-offer")
        try:
            await asyncio.to_thread(users.start)
            await users.publish_session("large", 1_000)
            await users.ask_for_seats("large", 5)
            await users.until_letters(5)
            with Prometheus(installation.folder, _ports(users)) as prometheus:
                begun = time.time()
                faults = [
                    fault for cause in CAUSES for fault in await _cause(Installed(users), cause, prometheus)
                ]
                await _have_requests_without_effect(Installed(users))
                return faults + await asyncio.to_thread(_of_dashboards, prometheus, begun)
        finally:
            users.stop()


async def _cause(installed: Installed, cause: AlertCause, prometheus: Prometheus) -> list[str]:
    alerts = set(cause.alerts)
    if early := await asyncio.to_thread(prometheus.ended, alerts, ENDS_SECONDS):
        return [f"{alert} fires before its cause" for alert in sorted(early)]
    begun = time.monotonic()
    doing = "its cause cannot be made"
    try:
        async with cause.caused(installed):
            silent = await asyncio.to_thread(prometheus.fired, alerts, FIRES_SECONDS)
            fired = time.monotonic()
            doing = "what the page says cannot be done"
    except (AssertionError, TimeoutError) as error:
        return [f"{' and '.join(cause.alerts)}: {doing}: {error!r}"]
    still = await asyncio.to_thread(prometheus.ended, alerts - silent, ENDS_SECONDS)
    took = f"fired after {fired - begun:.0f} s, ended {time.monotonic() - fired:.0f} s later"
    print(f"        {' and '.join(cause.alerts)}: {took}", flush=True)
    return [
        *(f"{alert} did not fire by its cause" for alert in sorted(silent)),
        *(f"{alert} did not end by what its page says" for alert in sorted(still)),
    ]


async def _have_requests_without_effect(installed: Installed) -> None:
    """Have requests that come twice, and one that is refused: no cause of an alert has any."""
    await installed.users.ask_again()
    await installed.users.ask_for("large", installed.users.agents["large"][-1:])
    with suppress(TimeoutError):  # then their panels stay empty
        await installed.until_sql(
            "enrolment", "EXISTS (SELECT 1 FROM request WHERE reason = 'already_enrolled')"
        )
    await asyncio.sleep(2 * services.SCRAPED_SECONDS)


def _of_dashboards(prometheus: Prometheus, begun: float) -> list[str]:
    """Ask each question of the dashboards. Returns those that fail, or had no answer though they should."""
    faults = []
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for expr in (target["expr"] for target in panel["targets"]):
                try:
                    if not prometheus.shown(expr, begun) and expr not in EMPTY:
                        faults.append(f"{name}: {panel['title']} stayed empty: {expr}")
                except ValueError as error:
                    faults.append(f"{name}: {panel['title']} cannot be asked {expr}: {error}")
    return faults


def _ports(users: Users) -> dict[str, int]:
    return {name: service.port for name, service in users.services.items()}
