"""How soon a slow phone shows something: Chromium, its network and processor slowed, among much data.

``python -m tests.benchmarks.first_paint`` prints it; ``python -m tests.benchmarks.first_paint enrolment``
what one service has.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping

from playwright.sync_api import Browser, CDPSession, sync_playwright

from tests.benchmarks import pages
from tests.benchmarks.servers import NotMeasured, chromium_program
from tests.pages.seen import MOST_BYTES

VISITS = 9
"""Of which the median counts. Nothing is cached from one to the next."""
MOST = {"first_paint_ms": 1000.0, "bytes": float(MOST_BYTES)}
"""What no page may exceed."""
BITS = 1_600_000
"""What the phone loads in a second."""
NETWORK = {"offline": False, "latency": 150, "downloadThroughput": BITS / 8, "uploadThroughput": BITS / 16}
PROCESSOR = {"rate": 4}
SHOWN: Mapping[str, tuple[str, ...]] = {
    "catalogue": ("home", "list", "month", "map", "search", "session", "offer", "resources"),
    "enrolment": ("my_only_enrolment", "withdrawal"),
    "notifier": ("news", "lost_link"),
}
"""The pages that anybody may come to, by their names among those of :mod:`tests.benchmarks.pages`."""
PAINTED = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  for (const { startTime } of list.getEntriesByName("first-contentful-paint")) resolve(startTime);
}).observe({ type: "paint", buffered: true }))"""
_WEIGHT = """() => {
  const files = performance.getEntriesByType("resource").filter((file) => (
    ["link", "script", "img"].includes(file.initiatorType) && !file.name.endsWith(".woff2")));
  const all = [...performance.getEntriesByType("navigation"), ...files];
  return [all.length, all.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)];
}"""
"""Requests and bytes of the last navigation."""


def run(*services: str) -> dict[str, float]:
    """Milliseconds until each page has painted the first of its content, and its bytes as they travel."""
    program = chromium_program()
    if program is None:
        raise NotMeasured("Chromium is missing (Debian's chromium-headless-shell)")
    figures = {}
    for service in services or SHOWN:
        paths = {name: pages.PAGES[service][name].path for name in SHOWN[service]}
        # Playwright last: while it runs, no other event loop does in this thread.
        with pages.served(service) as client, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            for name, paint, size in _paints(browser, str(client.base_url), paths):
                figures[f"{service}_{name}_first_paint_ms"] = paint
                figures[f"{service}_{name}_bytes"] = float(size)
            browser.close()
    return figures


def too_high(figures: Mapping[str, float]) -> list[str]:
    """Return the names of what is above its limit."""
    return [
        name
        for name, value in figures.items()
        if any(name.endswith(f"_{ending}") and value > most for ending, most in MOST.items())
    ]


def _paints(browser: Browser, url: str, paths: Mapping[str, str]) -> Iterator[tuple[str, float, int]]:
    """The median first paint of each page, on a phone, and how heavy it is."""
    with browser.new_context(base_url=url, viewport={"width": 360, "height": 740}) as context:
        page = context.new_page()
        _slow_down(context.new_cdp_session(page))
        for name, path in paths.items():
            times = []
            for _ in range(VISITS):
                answer = page.goto(path)
                assert answer is not None
                assert answer.status == 200, (name, answer.status)
                times.append(page.evaluate(PAINTED))
            page.wait_for_load_state("load")
            yield name, statistics.median(times), page.evaluate(_WEIGHT)[1]


def _slow_down(session: CDPSession) -> None:
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.send("Network.emulateNetworkConditions", NETWORK)
    session.send("Emulation.setCPUThrottlingRate", PROCESSOR)


def main() -> None:
    """Print the figures; end with 1 where one is too high."""
    figures = run(*sys.argv[1:])
    for name, figure in figures.items():
        print(f"{name:46}{figure:8,.0f}")
    if high := too_high(figures):
        sys.exit(f"too high: {', '.join(high)}")


if __name__ == "__main__":
    main()
