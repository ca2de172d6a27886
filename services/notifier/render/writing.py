"""The templates, ready to be filled, and the colours of their HTML."""

import functools
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.runtime import Macro

from services.notifier import letters
from shared.events.catalogue import BespokeAnswer
from shared.events.enrolment import Awaiting, LapseCause, WithdrawnBy
from shared.events.vocabulary import WaitingList
from shared.web import french
from shared.web.french import NBSP

_TEMPLATES = Path(__file__).parents[1] / "templates"


THEME = {
    "ink": "#1b1b1f",
    "quiet": "#50535c",
    "paper": "#ffffff",
    "ground": "#f2f3f5",
    "accent": "#17477d",
    "line": "#c4c8cf",
}
"""The colours of the HTML part, in one place; each text colour has a contrast above 4.5:1 on its ground."""


_BLANKS = re.compile(r"\n{3,}")


def squeeze(text: str) -> str:
    """No more than one empty line at a time, whatever blocks a letter leaves empty."""
    return _BLANKS.sub("\n\n", text).strip("\n") + "\n"


def typeset(text: str) -> str:
    """Text from outside whose lines begin with no punctuation: no break before ``: ; ? !`` and inside « »."""
    return _BREAKS.sub(NBSP, text)


_BREAKS = re.compile(r" (?=[:;?!»])|(?<=«) ")


@functools.lru_cache(maxsize=1_000)
def quoted(text: str) -> str:
    """Between guillemets; those that it has itself become “ ” (Lexique de l’Imprimerie nationale)."""
    return f"«{NBSP}{typeset(_CLOSING.sub('”', _OPENING.sub('“', text)))}{NBSP}»"


_OPENING, _CLOSING = re.compile(r"«\s*"), re.compile(r"\s*»")


def _environment(kind: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=kind == "html",  # noqa: S701 the text part must not be escaped; the HTML part always is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["quoted"] = quoted
    environment.globals.update(
        {
            "layout": f"base.{kind}",
            "ordinal": french.ordinal,
            "WaitingList": WaitingList,
            "Awaiting": Awaiting,
            "WithdrawnBy": WithdrawnBy,
            "LapseCause": LapseCause,
            "BespokeAnswer": BespokeAnswer,
        }
    )
    marks = environment.get_template(f"marks.{kind}").module
    environment.globals.update({name: mark for name, mark in vars(marks).items() if isinstance(mark, Macro)})
    return environment


@functools.cache
def _environments() -> tuple[Environment, Environment]:
    return _environment("txt"), _environment("html")


@functools.cache
def templates_of(name: letters.Template) -> tuple[Template, Template]:
    """A letter's one template, to be filled as text and as HTML."""
    text, html = (environment.get_template(f"{name}.jinja") for environment in _environments())
    for template in (text, html):
        template.globals = dict(template.globals)  # Jinja's chain of them is slow to copy
    return text, html
