"""Fill in every form of a service's pages about one person."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from services.catalogue import pages as catalogue_pages
from shared.auth import Tokens
from shared.process import Process
from tests.integration.services.cases import CASES, TOKENS, Answers, Case, address_of
from tests.integration.services.composed import SITE, browser_on
from tests.integration.services.test_permissions import areas_of
from tests.pages.visitor import Visitor
from tests.support.guards import NOWHERE, a_guard
from tests.support.marking import ADDRESS, Marks

NO_FORM = re.compile(r"/(static|health|api)/|\.\w+$|\{file\}|/agenda/|connexion|\{rest:path\}|^/$")
"""Pages that are no HTML, lead elsewhere, or are about the visitor's own log-in."""
FINAL = re.compile("desist|retir|retrait|decision|effacement")
"""In what a button does if it ends something that other forms need."""
ID = re.compile(r"[\w.-]{36,}")
Kind = tuple[str, ...]
"""What a button does: action, name and value, without ids."""


def pages_of(process: Process) -> list[Route]:
    """Return the pages with forms, those last on which one may change everybody in a session."""
    routes: list[BaseRoute] = list(process.api.routes)
    if process.name == "catalogue":  # its other forms are commands about an offer, as operations are
        site = catalogue_pages.Site(database=NOWHERE, tokens=Tokens(), guard=a_guard(), address=SITE)
        routes = [page for page in catalogue_pages.build(site).routes if "{bespoke_id" in str(page)]
    pages = [route for route in routes if isinstance(route, Route) and not isinstance(route, APIRoute)]
    pages = [page for page in pages if not NO_FORM.search(page.path)]
    return sorted(pages, key=lambda page: "{session_id" in page.path)


async def fill_in_every_form(process: Process, marks: Marks) -> Answers:
    """Fill in each form until it is accepted once, in one case after the other."""
    pages = pages_of(process)
    filling = Filling(pages, marks)
    async with browser_on(process) as client:
        visitor = Visitor(client)
        for token in TOKENS[process.name]:
            for area in areas_of(process):
                await client.post(area.log_in, data={"jeton": token})
        for is_final in (False, True):
            cases = [case async for case in CASES[process.name](process)]
            for page in pages:
                if "GET" in (page.methods or ()):
                    await filling.fill_in_all(visitor, page, cases, is_final=is_final)
    return filling.answers


class Filling:
    """The forms that were filled in, and what was answered."""

    def __init__(self, pages: list[Route], marks: Marks) -> None:
        self.posted = [page for page in pages if "POST" in (page.methods or ())]
        self.answers: Answers = {page.path: [] for page in self.posted}
        self._accepted: set[Kind] = set()
        self._marks = marks

    async def fill_in_all(self, visitor: Visitor, page: Route, cases: list[Case], *, is_final: bool) -> None:
        """Fill in the forms of a page, until two cases have shown no new form."""
        without_news = 0
        for case in cases if "{" in page.path else cases[:1]:
            address = address_of(page.path, case)
            if address is None or without_news == 2:
                return
            await visitor.go(address)
            kinds = [kind for kind in buttons(visitor) if bool(FINAL.search(" ".join(kind))) == is_final]
            new = [kind for kind in kinds if kind not in self._accepted]
            without_news = 0 if new else without_news + 1
            for kind in new:
                await visitor.go(address)
                if await self._is_accepted(visitor, kind, case):
                    self._accepted.add(kind)

    async def _is_accepted(self, visitor: Visitor, kind: Kind, case: Case) -> bool:
        """Fill in the form and send it; take back what is wrong, and confirm what is asked."""
        wrong: list[str] = []
        for _ in range(4):
            found = buttons(visitor)
            button = found.get(kind, next((found[other] for other in found if other[0] == kind[0]), None))
            if button is None:
                return not wrong
            if wrong:
                take_back(visitor, wrong)
            else:
                fill_in(visitor, button, self._marks, case)
            await visitor.send(button)
            first = (visitor.answer.history or [visitor.answer])[0]
            page = next(page for page in self.posted if page.path_regex.match(first.request.url.path))
            wrong = [field.get("name", "") for field in fields(visitor) if field.get("aria-invalid")]
            self.answers[page.path].append(f"{first.status_code} {wrong or ''}")
            if visitor.answer.history:
                return True
            if not wrong and first.status_code != 200:
                return False
        return not wrong


def fields(visitor: Visitor) -> Iterator[Element]:
    return visitor.all("input", "textarea", "select")


def buttons(visitor: Visitor) -> dict[Kind, Element]:
    """Return the buttons of posted forms, the first of each kind."""
    found = {}
    for button in reversed(list(visitor.all("button"))):
        form = visitor._form_or_none(button)
        if form is not None and (button.get("formmethod") or form.get("method") or "get").lower() == "post":
            action = button.get("formaction") or form.get("action") or visitor.url.partition("?")[0]
            if "connexion" not in action:
                kind = (action, button.get("name", ""), button.get("value", ""))
                found[tuple(ID.sub("", part) for part in kind)] = button
    return found


def fill_in(visitor: Visitor, button: Element, marks: Marks, case: Case) -> None:
    """Write a mark in each text; choose something wherever nothing is chosen."""
    form = visitor.form_of(button)
    of_form = [field for field in fields(visitor) if visitor._form_or_none(field) is form]
    for field in of_form:
        name, kind = field.get("name", ""), field.get("type", "text")
        mark = marks.new(f"{ID.sub('', visitor.url.partition('?')[0])} {name}")
        if field.tag == "textarea":
            field.text = mark
        elif field.tag == "select":
            options = [option for option in field.iter("option") if option.get("value")]
            if options and not any("selected" in option.attrib for option in options):
                options[0].set("selected", "")
        elif kind in ("email", "url"):
            field.set("value", ADDRESS if kind == "email" else f"https://exemple.fr/{mark}")
        elif kind in ("text", "search") and field.get("inputmode") != "numeric":
            field.set("value", str(case.get(name, mark)))
        elif kind == "radio":
            of_name = [other for other in of_form if other.get("name") == name]
            if not any("checked" in other.attrib for other in of_name):
                visitor.check(of_name[0])
        elif kind == "checkbox":
            visitor.check(field)


def take_back(visitor: Visitor, names: list[str]) -> None:
    for field in fields(visitor):
        if field.get("name") in names:
            field.set("value", "")
            field.text = ""
