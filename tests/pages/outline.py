"""A page as lines: headings, text, links, forms and fields, without looks, and the same in each run."""

import re
from xml.etree.ElementTree import Element

from tests.pages.visitor import chosen, words

_HEADINGS = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### "}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt"),
    *(
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hr",
        "legend",
        "li",
        "main",
        "nav",
        "ol",
    ),
    *("p", "pre", "section", "search", "summary", "table", "tbody", "thead", "tr", "ul"),
    *_HEADINGS,
}
_STARTS = {"li": "- ", "dt": "- ", "dd": "  ", "summary": "> ", "legend": "legend: ", "caption": "caption: "}
_STARTS |= _HEADINGS
_NAMED = {"nav", "aside", "section", "table", "form", "ul", "ol", "search", "article"}
_RANDOM = (
    (re.compile(r"(?<=/)\.?[\w-]{30,}\.[\w-]{30,}|(?<=qui=)[\w.-]{30,}"), "‹token›"),
    (re.compile(r"\b[0-9a-f]{16,64}\b"), "‹hash›"),
    (re.compile(r"(?<=numéro )[0-9a-f]{8}(?!-)|(?<=abonnement )[0-9a-f]{8}"), "‹number›"),
    (re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b"), "‹reference›"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b(?!Z)"), "‹time›"),
    (re.compile(r"(?<=répondu en )\d+ m?s|(?<=depuis )\d+ s\b"), "‹time›"),
    (re.compile(r"(?<=v1,)[\w+/]{43}="), "‹signature›"),
    (re.compile(r'(?<=name="cle" value=")[\w-]+|(?<=cle=")[\w-]{20,}'), "‹key›"),
)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def stable(text: str) -> str:
    """Put words in the place of what is random; ids are numbered as they come."""
    ids: dict[str, str] = {}
    text = _ID.sub(lambda found: ids.setdefault(found[0], f"‹id {len(ids) + 1}›"), text)
    for pattern, word in _RANDOM:
        text = pattern.sub(word, text)
    return text


def head(page: Element) -> list[str]:
    """Return what the page says of itself to browsers and to search engines."""
    said = {element.get("name"): element.get("content") for element in page.iter("meta")}
    title = f"title: {words(next(page.iter('title')))}"
    return [title, *(f"{name}: {said[name]}" for name in ("description", "robots") if name in said)]


def main(page: Element) -> list[str]:
    """Return the lines of the main part."""
    return _Lines().of(next(page.iter("main")))


def frame(page: Element) -> list[str]:
    """Return the lines of what is around the main part on all pages of an area."""
    parts = [part for part in next(page.iter("body")) if part.tag in ("a", "header", "footer")]
    return [line.replace("*[", "[") for part in parts for line in _Lines().of(part)]


class _Lines:
    """Gathers lines: text that flows is one, each block begins another."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._flow = ""
        self._start = ""
        self._depth = 0

    def of(self, root: Element) -> list[str]:
        self._read(root)
        self._end()
        return self._lines

    def _end(self, start: str = "") -> None:
        """End a line, and have the next begin with this."""
        text = " ".join(self._flow.split())
        if text:
            self._lines.append(f"{'  ' * self._depth}{self._start}{text}")
        self._flow, self._start = "", start

    def _read(self, element: Element) -> None:
        if element.tag in ("svg", "script"):
            if element.get("role") == "img":
                self._flow += f" ({words(element)})"
            return
        is_block = element.tag in _BLOCKS
        if is_block:
            self._end(_STARTS.get(element.tag, ""))
            self._announce(element)
        before, after = _around(element)
        self._flow += before
        if element.tag not in ("select", "textarea"):
            self._flow += element.text or ""
            is_nested = element.tag in ("form", "ul", "ol", "details", "fieldset", "table")
            self._depth += is_nested
            for child in element:
                self._read(child)
                self._flow += child.tail or ""
            if is_nested:
                self._end()
            self._depth -= is_nested
        self._flow += after
        if is_block:
            self._end()

    def _announce(self, element: Element) -> None:
        said = [element.tag] if element.tag == "form" else []
        if element.tag == "form":
            said += [element.get("method", "get"), element.get("action", "")]
        if element.get("role") in ("alert", "status", "dialog"):
            said.append(element.attrib["role"])
        if element.tag in _NAMED and element.get("aria-label"):
            said += [element.tag, element.attrib["aria-label"]]
        if said:
            self._lines.append("  " * self._depth + f"[{' '.join(said)}]")


def _around(element: Element) -> tuple[str, str]:
    """What is written before and after the content of an element within a line."""
    name, value = element.get("name", ""), element.get("value", "")
    marks = "".join(
        f" {word}"
        for attribute, word in (("required", "required"), ("disabled", "disabled"), ("aria-invalid", "wrong"))
        if attribute in element.attrib
    )
    match element.tag:
        case "a":
            current = "*" if "aria-current" in element.attrib else ""
            return f" {current}[", f"]({element.get('href', '')})"
        case "button":
            sent = f" {name}={value}" if name else ""
            to = f" → {element.attrib['formaction']}" if "formaction" in element.attrib else ""
            return " <", f"{sent}{to}{marks}>"
        case "input" if name == "cle":
            return "", ""
        case "input" if element.get("type") in ("checkbox", "radio"):
            return f" ({'x' if 'checked' in element.attrib else ' '} {name}={value}{marks}) ", ""
        case "input":
            return f" ({element.get('type', 'text')} {name}={value!r}{marks}) ", ""
        case "select":
            number = len(list(element.iter("option")))
            return f" (select {name}={'|'.join(chosen(element))!r} of {number}{marks}) ", ""
        case "textarea":
            return f" (textarea {name}={(element.text or '').strip()!r}{marks}) ", ""
        case "br":
            return " / ", ""
        case "td" | "th":
            return " | ", ""
        case "img":
            return f" (img {element.get('alt', '')})", ""
        case "label" if element.get("aria-label"):
            return f" {element.attrib['aria-label']} ", ""
    return "", ""
