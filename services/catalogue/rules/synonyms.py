import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence

SYNONYMS: Mapping[str, Sequence[str]] = {
    "ia generative": (
        "chatgpt", "chat gpt", "gpt", "mistral", "copilot", "gemini", "llm", "agent conversationnel",
        "ia gen", "genai", "intelligence artificielle generative", "prompt", "prompts",
    ),
    "ia": ("ai", "artificial intelligence", "machine learning", "apprentissage automatique", "algorithme"),
    "mooc": (
        "cours en ligne", "formation en ligne", "e-learning", "elearning", "autoformation", "debutant",
        "debutants", "debuter", "initiation",
    ),
    "webinaire": ("visio", "visioconference", "webconference", "conference en ligne", "live"),
    "rendez-vous local": ("presentiel", "rencontre", "evenement", "reunion", "pres de chez moi"),
    "sur mesure": ("intra", "formation interne", "pour ma collectivite", "formation de groupe"),
    "inet": (
        "encadrant", "encadrants", "manager", "managers", "dirigeant", "dirigeants", "cadre", "cadres", "dgs",
    ),
    "replay": ("video", "videos", "rediffusion", "revoir"),
    "donnees": ("rgpd", "cnil", "donnees personnelles", "confidentialite", "open data", "data"),
    "responsable": ("deontologie", "ethique", "biais", "discrimination"),
    "transition ecologique": (
        "climat", "ecologie", "ecolo", "carbone", "environnement", "energie", "sobriete",
    ),
    "metiers": ("emploi", "emplois", "competences", "ressources humaines", "rh"),
    "auvergne rhone alpes": (
        "ain", "allier", "ardeche", "cantal", "drome", "haute-loire", "haute-savoie", "isere", "loire",
        "puy-de-dome", "rhone", "savoie",
    ),
    "bourgogne franche comte": (
        "cote-d'or", "doubs", "haute-saone", "jura", "nievre", "saone-et-loire", "territoire de belfort",
        "yonne",
    ),
    "bretagne": ("cotes-d'armor", "finistere", "ille-et-vilaine", "morbihan"),
    "centre val de loire": ("cher", "eure-et-loir", "indre", "indre-et-loire", "loir-et-cher", "loiret"),
    "corse": ("corse-du-sud", "haute-corse"),
    "grand est": (
        "ardennes", "aube", "bas-rhin", "haut-rhin", "haute-marne", "marne", "meurthe-et-moselle", "meuse",
        "moselle", "vosges",
    ),
    "hauts de france": ("aisne", "nord", "oise", "pas-de-calais", "somme"),
    "ile de france": (
        "essonne", "hauts-de-seine", "seine-et-marne", "seine-saint-denis", "val-d'oise", "val-de-marne",
        "yvelines",
    ),
    "normandie": ("calvados", "eure", "manche", "orne", "seine-maritime"),
    "nouvelle aquitaine": (
        "charente", "charente-maritime", "correze", "creuse", "deux-sevres", "dordogne", "gironde",
        "haute-vienne", "landes", "lot-et-garonne", "pyrenees-atlantiques", "vienne",
    ),
    "occitanie": (
        "ariege", "aude", "aveyron", "gard", "gers", "haute-garonne", "hautes-pyrenees", "herault", "lot",
        "lozere", "pyrenees-orientales", "tarn", "tarn-et-garonne",
    ),
    "pays de la loire": ("loire-atlantique", "maine-et-loire", "mayenne", "sarthe", "vendee"),
    "provence alpes cote d azur": (
        "alpes-de-haute-provence", "alpes-maritimes", "bouches-du-rhone", "hautes-alpes", "var", "vaucluse",
    ),
    "": ("pres de", "autour de", "environs de"),
}  # fmt: skip

DEPARTMENTS: Mapping[str, str] = {
    "auvergne rhone alpes": "01 03 07 15 26 38 42 43 63 69 73 74",
    "bourgogne franche comte": "21 25 39 58 70 71 89 90",
    "bretagne": "22 29 35 56",
    "centre val de loire": "18 28 36 37 41 45",
    "corse": "20 2a 2b",
    "grand est": "08 10 51 52 54 55 57 67 68 88",
    "hauts de france": "02 59 60 62 80",
    "ile de france": "75 77 78 91 92 93 94 95",
    "normandie": "14 27 50 61 76",
    "nouvelle aquitaine": "16 17 19 23 24 33 40 47 64 79 86 87",
    "occitanie": "09 11 12 30 31 32 34 46 48 65 66 81 82",
    "pays de la loire": "44 49 53 72 85",
    "provence alpes cote d azur": "04 05 06 13 83 84",
    "guadeloupe": "971",
    "martinique": "972",
    "guyane": "973",
    "la reunion": "974",
    "mayotte": "976",
}  # fmt: skip

MOST_READINGS = 4

_MEANT = {
    name: said
    for said, names in SYNONYMS.items()
    for written in names
    for name in (written, written.replace("-", " "))
} | {number: said for said, numbers in DEPARTMENTS.items() for number in numbers.split()}
_POSTAL_CODE = re.compile(r"(?<!\d)(?:(97\d)\d\d|(\d\d) ?\d{3})(?!\d)")
_NAMES = re.compile(
    rf"(?<![\w-])({'|'.join(map(re.escape, sorted(_MEANT, key=len, reverse=True)))})(?![\w-])"
)


def plain(text: str) -> str:
    apart = unicodedata.normalize("NFD", text.lower().replace("œ", "oe").replace("æ", "ae").replace("’", "'"))
    return "".join(character for character in apart if not unicodedata.combining(character))


def readings(text: str) -> list[str]:
    """Return the typed text first, then the text with each known name replaced by its meaning.

    An excluded word (``-rgpd``) or a quoted phrase stays as it was typed.
    """
    typed = _POSTAL_CODE.sub(lambda code: code[1] or code[2], plain(text))
    if '"' in typed:
        return [text]
    found = list(itertools.islice(_NAMES.finditer(typed), MOST_READINGS))
    return [
        text,
        *(f"{typed[: match.start()]}{_MEANT[match[1]]}{typed[match.end() :]}" for match in found),
        *([_NAMES.sub(lambda match: _MEANT[match[1]], typed)] if len(found) > 1 else []),
    ]
