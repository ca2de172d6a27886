"""What text from outside may not contain, because letters and pages show it under our name.

A name that a mail program turns into a link would lead readers of our letter to a stranger. Marks that are
invisible, or turn the direction of text, make it look different. Each rule is a regular expression that JSON
Schema, JavaScript and Python read alike, so that contracts contain it too (ADR 0029).
"""

import re
from typing import Any

_BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
DIRECTION = f"[{_BIDI}]"
"""Marks that turn the direction of writing (Unicode Standard Annex 9)."""

_INVISIBLE = (
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ue000-\uf8ff"
)
INVISIBLE = f"[{_BIDI}{_INVISIBLE}]"
"""Marks that are invisible, or visible in special fonts only."""
_INVISIBLE_ABOVE_FFFF = "[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
"""Above U+FFFF JSON Schema has no escape that all readers know, so a contract describes these in words."""

_COUNTRIES = (
    "ac ad ae af ag ai al am ao aq ar as at aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw "
    "by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz dj dk dm do dz ec ee eg er es eu fi "
    "fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il "
    "im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz lb lc li lk lr ls lt lu lv ly ma "
    "mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz "
    "om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm "
    "sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va "
    "vc ve vg vi vn vu wf ws ye yt za zm zw"
)
_WORDS = (
    "app art asia biz blog bzh cfd click cloud club com corsica cyou date dev edu email example fun gov gouv "
    "icu info int invalid link live loan ltd mil mobi mov name net news ninja one online ooo org page party "
    "pics pro quest racing review rest sbs shop site space stream support systems test tech today tokyo top "
    "trade uno vip web website wiki win work world wtf xin xyz zip zone"
)
_PARTICLES = "au de et la"
"""These endings of domains are also French words: after an initial (``M.de Villiers``) they are no domain."""


def _any_case(endings: str) -> str:
    """Match one of these endings in any case: JSON Schema has no flag for that."""
    return "|".join("".join(f"[{letter.upper()}{letter}]" for letter in ending) for ending in endings.split())


def _countries(codes: str) -> str:
    """Match two-letter endings. Grouping by the first letter makes the expression ten times shorter."""
    seconds: dict[str, str] = {}
    for code in codes.split():
        seconds[code[0]] = seconds.get(code[0], "") + code[1]
    return "|".join(f"[{a.upper()}{a}][{many.upper()}{many}]" for a, many in seconds.items())


_LETTER = r"A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u036f"
_END = rf"(\.?$|\.?[^{_LETTER}.]|\.\.)"
LINK = (
    r"://|\\\\|[Ww]{3}[0-9]*\.[^\s]|[Mm][Aa][Ii][Ll][Tt][Oo]:|([Tt][Ee][Ll]|[Ss][Mm][Ss]):[+0-9]"
    r"|[^\s@]@[^\s@]+\.[^\s.]|[^\s.]\.[Xx][Nn]--|[\u2024\u3002\ufe52\uff0e\uff61]"
    rf"|[^\s.]\.({_countries(_COUNTRIES)}|{_any_case(_WORDS)}){_END}"
    rf"|[^\s.][^\s.]\.({_any_case(_PARTICLES)}){_END}"
)
"""Mail programs turn these into a link: an address of the web or of mail, or a domain."""

_MARKS = (
    r"\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    r"\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
LONG_RUN = rf"[{_MARKS}]{{4}}|[^\s]{{101}}|[\s!-/:-@\[-`{{-~\u00a0-\u00bf\u2000-\u206f]{{8}}"
"""More than three marks on one letter, a word of more than 100 characters, eight signs or spaces in a row."""

NOT_IN_TEXT: dict[str, Any] = {"not": {"pattern": DIRECTION}}
NOT_IN_ADDRESS: dict[str, Any] = {"not": {"pattern": INVISIBLE}}
NOT_IN_NAME: dict[str, Any] = {"not": {"anyOf": [{"pattern": rule} for rule in (INVISIBLE, LINK, LONG_RUN)]}}

_WORD = r"[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]{1,100}"
_PLAIN = re.compile(f"{_WORD}(?:[ '\u2019-]{_WORD})*")
"""Nearly every name consists of words of letters, and needs no other rule."""
_DIRECTION = re.compile(DIRECTION)
_HIDDEN = re.compile(f"{INVISIBLE}|{_INVISIBLE_ABOVE_FFFF}")
_NEAR_LINK = re.compile(r"[.@:\\][^\s]|[\u2024\u3002\ufe52\uff0e\uff61]")
"""Every link contains this, which is found much faster."""
_LINK = re.compile(LINK)
_LONG_RUN = re.compile(LONG_RUN)
_HIDDEN_CHARACTERS = "has invisible characters"


def check_text(text: str) -> str:
    """Raises if the text has marks that turn its direction."""
    if not text.isascii() and _DIRECTION.search(text):
        raise ValueError(_HIDDEN_CHARACTERS)
    return text


def check_address(text: str) -> str:
    """Raises if the address has invisible characters."""
    if not text.isascii() and _HIDDEN.search(text):
        raise ValueError(_HIDDEN_CHARACTERS)
    return text


def check_name(name: str) -> str:
    """Raises if it cannot be the name of a person or an authority."""
    if _PLAIN.fullmatch(name):
        return name
    if _NEAR_LINK.search(name) and _LINK.search(name):
        raise ValueError("has a link or an address; where there is none, a space follows each full stop")
    if _LONG_RUN.search(name):
        raise ValueError(
            "has a word of more than 100 characters, or too many marks, signs or spaces in a row"
        )
    return check_address(name)
