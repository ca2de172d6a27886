"""Somebody who reads pages and fills in forms without a script: HTML in, HTTP out, no browser."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit
from xml.etree.ElementTree import Element, TreeBuilder

import httpx

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


class _Reader(HTMLParser):
    """Makes a tree of a page. Our templates close every element that is not void."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._tree = TreeBuilder()
        self._open: list[str] = []
        self._tree.start("document", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tree.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self._tree.end(tag)
        else:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tree.start(tag, {name: value or "" for name, value in attrs})
        self._tree.end(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"
        self._tree.end(tag)

    def handle_data(self, data: str) -> None:
        self._tree.data(data)

    def read(self, page: str) -> Element:
        self.feed(page)
        self.close()
        assert self._open == [], f"never closed: {self._open}"
        self._tree.end("document")
        return self._tree.close()


def read(page: str) -> Element:
    """Return the tree of a page."""
    return _Reader().read(page)


def words(element: Element) -> str:
    """Return the text of an element, with single spaces."""
    return " ".join("".join(element.itertext()).split())


def same(text: str) -> str:
    return " ".join(text.split())


class Visitor:
    """A reader of one application. What is filled in is kept in the tree until a form is sent."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.answer: httpx.Response = httpx.Response(204)
        self.page = Element("document")

    @property
    def url(self) -> str:
        """The address of the page, without scheme and host."""
        return self.answer.url.raw_path.decode()

    def beside(self) -> Self:
        """Another tab of the same browser."""
        return type(self)(self.client)

    async def go(self, path: str) -> None:
        await self._ask("GET", path)

    async def _ask(self, method: str, path: str, **form: object) -> None:
        if self.page.tag != "document" or self.answer.status_code != 204:
            path = urljoin(str(self.answer.url), path)
        self.answer = await self.client.request(method, path, follow_redirects=True, **form)  # type: ignore[arg-type]
        is_page = self.answer.headers.get("content-type", "").startswith("text/html")
        self.page = read(self.answer.text) if is_page else Element("document")

    def all(self, *tags: str) -> Iterator[Element]:
        """Elements with one of these tags, in their order."""
        return (element for element in self.page.iter() if element.tag in tags)

    def field(self, label: str) -> Element:
        """The first field that has this label."""
        by_id = {element.get("id"): element for element in self.page.iter()}
        for element in self.page.iter():
            if element.tag == "label" and words(element) == same(label):
                inside = [part for part in element.iter() if part.tag in ("input", "select", "textarea")]
                return inside[0] if inside else by_id[element.get("for")]
            if element.tag in ("input", "select", "textarea") and element.get("aria-label") == label:
                return element
        raise AssertionError(f"{self.url}: no field {label!r}: {[words(e) for e in self.all('label')]}")

    def fill(self, label: str, text: str) -> None:
        field = self.field(label)
        if field.tag == "textarea":
            field.text = text
        else:
            field.set("value", text)

    def check(self, field: Element, is_checked: bool = True) -> None:
        if field.get("type") == "radio":
            for other in self.all("input"):
                if other.get("type") == "radio" and other.get("name") == field.get("name"):
                    other.attrib.pop("checked", None)
        field.attrib.pop("checked", None)
        if is_checked:
            field.set("checked", "")

    def choose(self, label: str, value: str) -> None:
        options = list(self.field(label).iter("option"))
        assert value in [option.get("value") for option in options], (label, value)
        for option in options:
            option.attrib.pop("selected", None)
            if option.get("value") == value:
                option.set("selected", "")

    def named(self, name: str, *tags: str) -> list[Element]:
        """Links or buttons with this in their names."""
        return [
            element
            for element in self.all(*tags)
            if same(name).lower() in (element.get("aria-label") or words(element)).lower()
        ]

    async def follow(self, name: str) -> None:
        """Follow the first link with this in its name."""
        links = self.named(name, "a")
        assert links, f"{self.url}: no link {name!r}: {[words(link) for link in self.all('a')]}"
        await self._ask("GET", links[0].get("href") or "")

    async def press(self, name: str, which: int = 0) -> None:
        """Press the first button with this in its name, or another of them."""
        buttons = self.named(name, "button")
        assert buttons, f"{self.url}: no button {name!r}: {[words(button) for button in self.all('button')]}"
        await self.send(buttons[which])

    def links_of_rows(self) -> list[str]:
        """Where the rows of tables lead."""
        heads = [head for body in self.all("tbody") for head in body.iter("th")]
        return [link.attrib["href"] for head in heads for link in head.iter("a")]

    def form_of(self, part: Element) -> Element:
        forms = list(self.all("form"))
        if part.get("form"):
            return next(form for form in forms if form.get("id") == part.get("form"))
        return next(form for form in forms if part in list(form.iter()))

    async def send(self, button: Element) -> None:
        """Send the form of a button, as a browser does."""
        form = self.form_of(button)
        method = (button.get("formmethod") or form.get("method") or "get").upper()
        path = button.get("formaction") or form.get("action") or self.url
        pairs: list[tuple[str, str]] = []
        files: list[tuple[str, tuple[str, bytes, str]]] = []
        for field in self.all("input", "select", "textarea", "button"):
            name = field.get("name")
            if name is None or self._form_or_none(field) is not form or self._is_disabled(field):
                continue
            if field.tag == "button":
                pairs += [(name, field.get("value", ""))] if field is button else []
            elif field.tag == "select":
                pairs += [(name, value) for value in chosen(field)]
            elif field.tag == "textarea":
                text = (field.text or "").removeprefix("\n")
                pairs.append((name, "\r\n".join(text.splitlines())))
            elif field.get("type") == "file":
                content = field.get("content")
                file = ("", b"") if content is None else ("sessions.csv", content.encode())
                files.append((name, (*file, "text/csv" if content else "application/octet-stream")))
            elif field.get("type") not in ("checkbox", "radio") or "checked" in field.attrib:
                pairs.append((name, field.get("value", "on" if "checked" in field.attrib else "")))
        origin = f"{self.answer.url.scheme}://{self.answer.url.netloc.decode()}"
        headers = {"origin": origin, "sec-fetch-site": "same-origin", "referer": str(self.answer.url)}
        if method == "GET":
            await self._ask("GET", urlsplit(path).path or self.url.partition("?")[0], params=pairs)
        elif files:
            data: dict[str, list[str]] = {}
            for name, value in pairs:
                data.setdefault(name, []).append(value)
            await self._ask("POST", path, data=data, files=files, headers=headers)
        else:
            body = urlencode(pairs)
            headers["content-type"] = "application/x-www-form-urlencoded"
            await self._ask("POST", path, content=body, headers=headers)

    def _form_or_none(self, field: Element) -> Element | None:
        try:
            return self.form_of(field)
        except StopIteration:
            return None

    def _is_disabled(self, field: Element) -> bool:
        sets = [part for part in self.all("fieldset") if "disabled" in part.attrib]
        return "disabled" in field.attrib or any(field in list(part.iter()) for part in sets)


def chosen(select: Element) -> list[str]:
    """The values of the options that are chosen; a browser chooses the first where the page does not."""
    options = list(select.iter("option"))
    found = [option for option in options if "selected" in option.attrib]
    if not found and "multiple" not in select.attrib:
        found = options[:1]
    return [option.get("value", words(option)) for option in found]
