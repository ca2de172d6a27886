"""How heavy a page is: what a browser asks for to show it, as it travels."""

from playwright.sync_api import Page

MOST_REQUESTS = 3
"""The page, one style sheet, one script; the typeface comes after the first paint."""
MOST_BYTES = 60_000
_WEIGHT = """() => {
  const files = performance.getEntriesByType("resource").filter((file) => (
    ["link", "script", "img"].includes(file.initiatorType) && !file.name.endsWith(".woff2")));
  const all = [...performance.getEntriesByType("navigation"), ...files];
  return [all.length, all.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)];
}"""


def weight(page: Page) -> tuple[int, int]:
    """How many requests, and how many bytes, the last navigation took, cached or not."""
    requests, size = page.evaluate(_WEIGHT)
    return requests, size


def too_heavy(page: Page) -> list[str]:
    """Say so of a page that is."""
    requests, size = weight(page)
    if requests <= MOST_REQUESTS and 0 < size < MOST_BYTES:
        return []
    return [f"{requests} requests, {size} bytes"]
