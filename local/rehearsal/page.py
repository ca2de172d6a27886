"""The page of results: one HTML file, with its style sheet and typeface inside."""

import base64
import re
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from local.rehearsal.simulation import Costs, SimulatedSize, recommended, simulate
from shared.web.assets import ASSETS
from shared.web.rendering import Rendering

_TEMPLATES = Path(__file__).with_name("templates")
_LATIN = "atkinson-hyperlegible-next-5.3.0-latin.woff2"
_RELAY = 100


def render(report: Mapping[str, Any]) -> str:
    costs = Costs(**report["costs"])
    country = {name: simulate(installation, costs) for name, installation in installations(costs).items()}
    here = SimulatedSize(store_cores=2, cores=2)
    cpu = [(part, spent) for part, spent in report["cpu"].items() if ", " not in part]
    return Rendering(_TEMPLATES).text(
        "rehearsal.html",
        **{**report, "cpu": sorted(cpu, key=itemgetter(1), reverse=True)},
        requests_served=sum(minute["came"] for minute in report["answers"]),
        style=_style(),
        costs_of=costs,
        installations=installations(costs),
        country=country,
        here=simulate(here, costs, report["agents"], round(report["seconds"])),
        size=recommended(costs),
    )


def installations(costs: Costs) -> dict[str, SimulatedSize]:
    enough = recommended(costs)
    return {
        "machine": SimulatedSize(store_cores=2, cores=2),
        "single": SimulatedSize(),
        "relay": SimulatedSize(enough.enrolment, enough.notifier, enough.store_cores, relay=_RELAY),
        "enough": enough,
    }


def _style() -> str:
    """Return the style sheet with one typeface inside; a browser has the letters that it lacks."""
    sheet = ASSETS["parcours.css"].content.decode()
    typeface = base64.b64encode(ASSETS[_LATIN].content).decode()
    faces = re.findall(r"@font-face\s*{[^}]*}", sheet)
    for face in faces:
        if ".woff2" in face and _LATIN not in face:
            sheet = sheet.replace(face, "")
    return sheet.replace(f'"{_LATIN}"', f'"data:font/woff2;base64,{typeface}"')
