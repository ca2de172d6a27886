import functools
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.runtime import Macro
from markupsafe import Markup, escape

from services.notifier import letters
from services.notifier.render.typography import quoted, squeeze
from services.notifier.render.views import ChangeKind
from shared import VERSION
from shared.events.catalogue import BespokeAnswer
from shared.events.enrolment import Awaiting, EndedBecause, LapseCause, WithdrawnBy
from shared.events.vocabulary import WaitingList
from shared.web import french, labels, tokens

_TEMPLATES = Path(__file__).parents[1] / "templates"


def _written_by() -> str:
    digest = hashlib.sha256()
    for file in sorted([*_TEMPLATES.glob("*.*"), *Path(__file__).parent.glob("*.py")]):
        digest.update(file.read_bytes())
    return f"{VERSION}-{digest.hexdigest()[:8]}"


WRITTEN_BY = _written_by()

_NAMES = {
    "ink": "ink",
    "quiet": "quiet",
    "raised": "raised",
    "paper": "paper",
    "accent": "accent",
    "on_accent": "on-accent",
    "accent_tint": "accent-tint",
    "line": "line",
    "good": "open",
    "urgent": "few",
    "waiting": "wait",
    "ended": "closed",
}


def _colours(theme: tokens.Theme) -> Mapping[str, str]:
    return {name: theme[token] for name, token in _NAMES.items()}


THEMES = {"light": _colours(tokens.LIGHT), "dark": _colours(tokens.DARK)}
"""Each text colour has a contrast above 4.5:1 on its ground."""


def _environment(kind: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=kind == "html",  # noqa: S701 the text part must not be escaped; the HTML part always is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "quoted": quoted,
        "capitalised": french.capitalised,
        "spelt": french.spelt,
        "plural": french.plural,
    }
    environment.globals.update(
        {
            "layout": f"base.{kind}",
            "labels": labels,
            "style_of": style_of,
            "ChangeKind": ChangeKind,
            "NewsKind": letters.NewsKind,
            "WaitingList": WaitingList,
            "Awaiting": Awaiting,
            "WithdrawnBy": WithdrawnBy,
            "LapseCause": LapseCause,
            "EndedBecause": EndedBecause,
            "EnrolmentState": letters.EnrolmentState,
            "BespokeAnswer": BespokeAnswer,
        }
    )
    for macros in ("phrases.jinja", f"marks.{kind}"):
        module = environment.get_template(macros).module
        environment.globals |= {name: mark for name, mark in vars(module).items() if isinstance(mark, Macro)}
    return environment


@functools.cache
def _environments() -> tuple[Environment, Environment]:
    return _environment("txt"), _environment("html")


@functools.cache
def style_of(tone: letters.Tone) -> Markup:
    _, html = _environments()
    return Markup(html.get_template("style.css").render(themes=THEMES, tone=tone).strip())  # noqa: S704 the text is ours


@functools.cache
def templates_of(name: letters.LetterType) -> tuple[Template, Template]:
    text, html = (environment.get_template(f"{name}.jinja") for environment in _environments())
    for template in (text, html):
        template.globals = dict(template.globals)  # a copy of Jinja's ChainMap would be slow
    return text, html


_MARKS = {
    name: f"{name}-{secrets.token_hex(8)}"
    for name in ("name", "link", "enrolments", "code", "reference", "called_for", "position")
}
"""The variables that differ between readers, each with a mark that no text from outside contains."""


class LetterTexts:
    """The text and the page of letters.

    Templates show the variables of :data:`_MARKS` as they are, or ask whether they are empty. So the letters
    about a session are rendered once, with marks, and again when another variable has changed.
    """

    def __init__(self, *, keep: int) -> None:
        self._rendered: OrderedDict[tuple[letters.LetterType, Any], tuple[Any, str, str]] = OrderedDict()
        self._keep = keep

    def of(self, mail: letters.Mail, variables: Mapping[str, Any]) -> tuple[str, str]:
        marks = {name: mark for name, mark in _MARKS.items() if variables.get(name)}
        marked = {**variables, **marks}
        key = (mail.template, mail.session_id)
        known, text, page = self._rendered.get(key, (None, "", ""))
        if known != marked:
            text, page = (template.render(marked) for template in templates_of(mail.template))
            text = squeeze(text)
            if mail.session_id is not None:  # other letters differ in more than the marks
                self._rendered[key] = marked, text, page
                self._rendered.move_to_end(key)
                if len(self._rendered) > self._keep:
                    self._rendered.popitem(last=False)
        for name, mark in marks.items():
            text = text.replace(mark, variables[name])
            page = page.replace(mark, escape(variables[name]))
        return text, page


def headline_of(name: letters.LetterType, variables: Mapping[str, Any]) -> str:
    template, _ = templates_of(name)
    block = template.blocks.get("headline")
    return "".join(block(template.new_context(dict(variables)))) if block else labels.LETTERS[name]
