"""A state of a page: where a visitor goes, and what the visitor does there."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import httpx

from tests.pages.visitor import Visitor

Step = Callable[[Visitor], Awaitable[None] | None]
States = Mapping[str, tuple[str | None, list[Step]]]
"""By the name of the state: the address (None: go on from the state before), and the steps."""


@dataclass(frozen=True)
class SeenState:
    """What the visitor sees in one state."""

    name: str
    answer: httpx.Response
    page: Element


async def walk(visitor: Visitor, states: States) -> list[SeenState]:
    """Visit every state, in order."""
    seen = []
    for name, (path, steps) in states.items():
        try:
            if path is not None:
                await visitor.go(path)
            for step in steps:
                done = step(visitor)
                if inspect.isawaitable(done):
                    await done
        except Exception as error:
            error.add_note(f"in the state {name!r}, at {visitor.url}")
            raise
        seen.append(SeenState(name, visitor.answer, visitor.page))
    return seen


def press(name: str, which: int = 0) -> Step:
    return lambda visitor: visitor.press(name, which)


def follow(name: str) -> Step:
    return lambda visitor: visitor.follow(name)


def fill(label: str, text: str) -> Step:
    return lambda visitor: visitor.fill(label, text)


def choose(label: str, value: str) -> Step:
    return lambda visitor: visitor.choose(label, value)


def go(path: str) -> Step:
    return lambda visitor: visitor.go(path)


def log_in(path: str, token: str) -> Step:
    """Log in to an area of the staff."""

    async def step(visitor: Visitor) -> None:
        await visitor.go(f"{path}/connexion")
        visitor.fill("Jeton d’accès", token)
        await visitor.press("Se connecter")

    return step


def within(part: str) -> Step:
    """Go to this part of what is shown."""
    return lambda visitor: visitor.go(f"{visitor.url.partition('?')[0]}/{part}")


async def show_again(visitor: Visitor) -> None:
    await visitor.go(visitor.url.partition("?")[0])


def make_old(visitor: Visitor) -> None:
    """Have the forms be of a page that was opened long ago."""
    for field in visitor.all("input"):
        if field.get("name") == "version":
            field.set("value", "0")


def forget_log_in(visitor: Visitor) -> None:
    visitor.client.cookies.clear()


def choose_sheet(content: str) -> Step:
    """Choose a file of this content for the only field that takes a file."""

    def step(visitor: Visitor) -> None:
        [field] = [field for field in visitor.all("input") if field.get("type") == "file"]
        field.set("content", content)

    return step


def meanwhile(*steps: Step) -> Step:
    """Do this in another tab, as somebody else does while the visitor looks at a page."""

    async def step(visitor: Visitor) -> None:
        other = visitor.beside()
        await other.go(visitor.url)
        for act in steps:
            done = act(other)
            if inspect.isawaitable(done):
                await done

    return step


def open_row(which: int) -> Step:
    """Follow the link of a row of a table."""
    return lambda visitor: visitor.go(visitor.links_of_rows()[which])
