"""Every page of every service in each of its states, against the golden files; what holds for all of them."""

import gzip
from collections.abc import Callable

import pytest

from shared.web.assets import ASSETS
from tests.pages.golden import differences
from tests.pages.seen import SERVICES, visit
from tests.pages.states import SeenState
from tests.pages.visitor import words

MOST_REQUESTS = 3
"""The page, one style sheet, one script; the typeface comes after the first paint."""
MOST_BYTES = 60_000


@pytest.mark.parametrize("service", SERVICES)
async def test_every_page_is_as_its_golden_file(service: str, new_database: Callable[[str], str]) -> None:
    seen = await visit(service, new_database)
    changed = differences(seen)
    assert not changed, f"{changed}\nIf this is meant: python -m tests.pages {service}; read the difference."
    states = [state for group in seen.values() for state in group]
    assert [state.name for state in states if state.answer.status_code >= 500] == []
    assert [state.name for state in states if service != "portal" and is_heavy(state)] == []
    for group in seen.values():
        assert namesakes(group) == []


def is_heavy(state: SeenState) -> bool:
    """Return whether a browser asks for too much to show the page, as it travels."""
    parts = [part.get("href") for part in state.page.iter("link") if part.get("rel") == "stylesheet"]
    parts += [part.get("src") for part in (*state.page.iter("script"), *state.page.iter("img"))]
    files = [part.partition("?")[0].rpartition("/")[2] for part in parts if part]
    weights = [len(ASSETS[name].compressed or ASSETS[name].content) for name in files]
    weights.append(len(gzip.compress(state.answer.content)))
    return len(weights) > MOST_REQUESTS or sum(weights) > MOST_BYTES


def namesakes(states: list[SeenState]) -> list[str]:
    """Return titles that two addresses have. The answer to a form may have the title of another page."""
    found, addresses = [], dict[str, str]()
    for state in states:
        title = words(next(state.page.iter("title"))).removeprefix("Erreur – ")
        is_log_in = any(field.get("id") == "jeton" for field in state.page.iter("input"))
        address = state.answer.url.path
        if state.answer.request.method != "POST" and not is_log_in:
            found += [title] if addresses.setdefault(title, address) != address else []
    return found
