"""The notifier's pages: accessible, without scripts, and closed to everything from elsewhere."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.responses import Response

from services.notifier.letters import EnrolmentState, InterestKind, LetterContext
from services.notifier.pages import mail_log, rendering
from services.notifier.pages.staff_area import SUPPORT_AREA
from services.notifier.pages.subscribing import SubscriptionMessage, _groups
from services.notifier.service import mails
from services.notifier.service.erasures import ErasureState
from services.notifier.service.people import KnownPerson
from services.notifier.service.timeline import Story, StoryLine
from services.notifier.store.attempts import WrittenLetter
from services.notifier.tables import MailAttemptRow, MailAuditRow, MailRow, MailState, TimelineRow
from shared import clock
from shared.auth import Principal, Role
from shared.events.notifier import BounceKind
from shared.events.vocabulary import AgentKey
from shared.web import labels
from shared.web.form_errors import FormError, sentence
from shared.web.logins.ending import ending_of
from shared.web.logins.late_forms import LateForm
from shared.web.notices import Error
from shared.web.operations import ServiceLine
from shared.web.paging import Part
from shared.web.rendering import Sites
from tests.unit.notifier.reading import LetterPage

EVIL = "<script>alert(1)</script>\" onclick='x'"
NOW = clock.now()
ROW: dict[str, Any] = {
    "mail_id": UUID(int=1),
    "event_id": UUID(int=2),
    "template": "joining-instructions",
    "issuer": "iel",
    "recipient": "A-1",
    "address": EVIL,
    "state": "ambiguous",
    "created_at": NOW,
    "due_at": NOW,
    "settled_at": None,
    "attempts": 1,
    "smtp_code": 451,
    "smtp_answer": EVIL,
    "message_id": "<1@x.example>",
    "details": {},
}
MAIL, RETURNED = MailRow(**ROW), MailRow(**ROW | {"state": "sent", "settled_at": NOW, "bounced_at": NOW})
LINE = MailAuditRow(mail_id=UUID(int=1), at=NOW, actor=EVIL, action="resent")
WHO = Principal(name="Camille", role=Role.SUPPORT)
LOG: dict[str, Any] = {
    "staff_area": SUPPORT_AREA,
    "who": WHO,
    "form_key": "key",
    "log_in_ending": ending_of(NOW, NOW),
    "log": "/courriels/suivi",
    "people": "/courriels/suivi/personnes",
    "correction": "/courriels/suivi/personnes/correction",
    "written_again": "/courriels/suivi/personnes/ecrire-de-nouveau",
    "purpose": EVIL,
}
HAPPENED: dict[str, Any] = {"kind": EVIL, "reason": EVIL, "session_id": UUID(int=3)}
TRIED: dict[str, Any] = {"number": 1, "at": NOW, "state": "retry", "code": 451, "answer": EVIL}
PERSON = KnownPerson(AgentKey(EVIL, EVIL), EVIL, EVIL, EVIL, 1)
STORY = Story(
    PERSON,
    [],
    [
        StoryLine(NOW, happened=TimelineRow(**HAPPENED)),
        StoryLine(NOW, mail=MAIL),
        StoryLine(NOW, decision=LINE),
    ],
    {},
    is_whole=False,
    suppressed_since=NOW,
)
STORY_PAGE: dict[str, Any] = {
    "story": STORY,
    "seen": EVIL,
    "typed": {"nouvelle": EVIL, "encore": EVIL},
    "errors": {},
    "is_requested": False,
    "is_lifted": False,
    "is_stale": True,
    "is_believed": True,
    "erasure": "/courriels/effacement",
}
ATTEMPT = MailAttemptRow(mail_id=UUID(int=1), **TRIED)
LOG_IN: dict[str, Any] = {
    "area": SUPPORT_AREA,
    "towards": "",
    "late_form": LateForm(),
    "late": False,
    "too_many": False,
    "by_issuer": False,
}
PAGES: list[tuple[str, dict[str, Any]]] = [
    (
        "subscribe.html",
        {
            "address": "",
            "groups": _groups(frozenset(), {"community:rh": EVIL, "offer:rh": EVIL}),
            "unknown_offer": True,
            "errors": {},
        },
    ),
    (
        "subscribe.html",
        {
            "address": EVIL,
            "groups": _groups(frozenset({"theme:enjeux-ia"})),
            "unknown_offer": False,
            "errors": {"adresse": EVIL, "interet": EVIL},
        },
    ),
    ("confirm.html", {"interests": [EVIL]}),
    ("confirmed.html", {"interests": ["Un thème"], "preferences": "https://x.example/p"}),
    ("preferences.html", {"groups": _groups(frozenset({"community:ia-et-territoires"}))}),
    ("unsubscribe.html", {}),
    ("log-in.html", LOG_IN | {"wrong": False}),
    (
        "log-in.html",
        LOG_IN | {"wrong": True, "late_form": LateForm("/courriels/suivi", [("agent", EVIL)]), "late": True},
    ),
    (
        "mail-log.html",
        LOG
        | {
            "lines": [ServiceLine("mails_ambiguous", 1, "closed", "/courriels/suivi?etat=ambiguous")],
            "agent": EVIL,
            "issuer": EVIL,
            "state": "sent",
            "errors": {},
            "part": Part([MAIL, RETURNED], first=False, previous={"avant": "1"}, following={"apres": "2"}),
            "purpose": EVIL,
            "is_search": True,
            "sessions": {},
        },
    ),
    (
        "erasure.html",
        LOG
        | {
            "requested": None,
            "typed": {"agent": EVIL, "emetteur": EVIL, "motif": EVIL},
            "errors": {"agent": EVIL, "emetteur": EVIL, "motif": EVIL},
            "states": [ErasureState(UUID(int=1), EVIL, NOW, {"catalogue": NOW})],
            "services": ["catalogue", "notifier"],
            "is_believed": True,
        },
    ),
    ("people.html", LOG | {"typed": EVIL, "errors": {}, "found": [PERSON], "is_cut": True, "is_near": True}),
    (
        "people.html",
        LOG
        | {
            "typed": EVIL,
            "errors": {"cherche": EVIL, "motif": EVIL},
            "found": None,
            "is_cut": False,
            "is_near": False,
        },
    ),
    ("person.html", LOG | STORY_PAGE | {"errors": {"nouvelle": EVIL, "encore": EVIL}}),
    ("person.html", LOG | STORY_PAGE | {"is_requested": True}),
    ("person.html", LOG | STORY_PAGE | {"story": replace(STORY, person=replace(PERSON, address=""))}),
    ("person.html", LOG | STORY_PAGE | {"story": replace(STORY, person=KnownPerson(AgentKey("", EVIL)))}),
]
PAGES += [
    (
        "mail.html",
        LOG
        | {
            "mail": MAIL,
            "to": EVIL,
            "subject": EVIL,
            "text": EVIL,
            "attached": [EVIL],
            "is_on_its_way": False,
            "address": EVIL,
            "suppressed_since": NOW if is_same else None,
            "done": "renvoyer",
            "audit": [LINE],
            "written": WrittenLetter(NOW, EVIL, LetterContext()),
            "is_same": is_same,
            "is_late": is_same,
            "attempts": [ATTEMPT],
        },
    )
    for is_same in (True, False)
]


NOTICES = [*SubscriptionMessage, *mail_log.MailLogMessage, *Error]
RENDERING = rendering(Sites(catalogue="http://catalogue"))
SHOWN = {
    **{
        f"{number} {template}": RENDERING.page(template, **values)
        for number, (template, values) in enumerate(PAGES)
    },
    **{f"notice {name}": RENDERING.notice(name) for name in NOTICES},
    **{f"error {status}": RENDERING.failure(status) for status in (400, 403, 404, 405, 413, 418, 500)},
}
every_page = pytest.mark.parametrize("response", SHOWN.values(), ids=SHOWN)


@every_page
def test_a_page_can_be_read_and_filled_in_by_everyone(response: Response) -> None:
    html = bytes(response.body).decode()
    page = LetterPage(html)
    tags = [tag for tag, _ in page.attributes]
    assert dict(page.attributes[tags.index("html")][1]) == {"lang": "fr"}
    assert tags.count("h1") == 1
    assert tags.count("main") == 1
    title = re.search("<title>(.*?)</title>", html)
    assert title is not None
    assert title[1].endswith("– Parcours, CNFPT")
    ids = [attributes["id"] for _, attributes in page.attributes if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes.get("for") for tag, attributes in page.attributes if tag == "label"}
    for tag, attributes in page.attributes:
        if tag in ("input", "select", "textarea") and attributes.get("type") != "hidden":
            assert attributes.get("id") in labelled, attributes
        for reference in (attributes.get("aria-describedby") or "").split():
            assert reference in ids, reference
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@every_page
def test_a_page_runs_nothing_and_asks_nothing_of_other_hosts(response: Response) -> None:
    page = LetterPage(bytes(response.body).decode())
    for tag, attributes in page.attributes:
        assert tag not in ("iframe", "img", "object", "embed", "style")
        if tag in ("script", "link"):
            assert str(attributes.get("src") or attributes.get("href")).startswith("/courriels/static/")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("template", ["subscribe.html", "mail-log.html", "log-in.html"])
def test_a_page_with_an_error_says_so_in_its_title(template: str) -> None:
    values = {
        "subscribe.html": {
            "address": "",
            "groups": _groups(frozenset()),
            "unknown_offer": False,
            "errors": {"adresse": "Non."},
        },
        "mail-log.html": LOG
        | {
            "lines": [],
            "agent": "",
            "issuer": "",
            "state": "",
            "errors": {"agent": "Non.", "emetteur": "Non."},
            "part": Part([], first=True, previous={}, following={}),
            "purpose": "",
            "is_search": False,
        },
        "log-in.html": LOG_IN | {"wrong": True},
    }[template]
    html = bytes(rendering(Sites(catalogue="http://catalogue")).page(template, **values).body).decode()
    assert "<title>Erreur" in html
    assert 'aria-invalid="true"' in html


def test_every_error_of_a_form_has_a_french_sentence_and_every_sentence_an_error() -> None:
    pages = Path(mail_log.__file__).parent.glob("*.py")
    codes = {code for page in pages for code in re.findall(r'FormError\("(\w+)"', page.read_text())}
    assert codes == set(RENDERING.module("erreurs.html").errors)
    for code in codes:
        assert re.fullmatch(r"[A-ZÉ].*\.", sentence(RENDERING, FormError(code)))


def test_every_state_of_a_mail_and_every_decision_about_one_has_its_label() -> None:
    assert set(labels.MAIL_STATES) == set(MailState)
    assert set(labels.MAIL_DECISIONS) == {
        mails.SENT_AGAIN_AS,
        mails.SENT_AGAIN_AFTER,
        mails.RESOLVED_AS_SENT,
        mails.RESENT,
    }


def test_who_reads_what_the_letters_keep_of_them_reads_words() -> None:
    assert set(labels.STANDINGS) == set(EnrolmentState)
    assert set(labels.RETURNS) == set(BounceKind)
    assert set(labels.INTERESTS) == set(InterestKind)


def test_a_letter_and_a_decision_that_only_a_newer_version_knows_are_shown_by_their_codes() -> None:
    row = MailRow(**ROW | {"template": "of-a-newer-version"})
    values = LOG | {"mail": row, "to": "Zoé", "text": "", "subject": "", "attached": ()}
    values |= {"written": None, "attempts": [], "is_late": False, "done": None}
    values |= {"is_on_its_way": False, "address": "zoe@ville.example", "suppressed_since": None}
    line = MailAuditRow(mail_id=UUID(int=1), at=NOW, actor="ops", action="done otherwise")
    html = bytes(RENDERING.page("mail.html", **values, audit=[line]).body).decode()
    assert "<h1>of-a-newer-version</h1>" in html
    assert "ops\u00a0: done otherwise</li>" in html


@pytest.mark.parametrize(
    ("timezone", "said"),
    [
        ("America/Martinique", "jeudi 20 mars 2025 à 4\u00a0h, heure de la Martinique"),
        ("Indian/Reunion", "jeudi 20 mars 2025 à 12\u00a0h, heure de La Réunion"),
    ],
)
def test_what_happened_in_a_session_is_told_by_its_clocks(timezone: str, said: str) -> None:
    at = datetime(2025, 3, 20, 8, tzinfo=UTC)
    row = TimelineRow(**HAPPENED | {"kind": "enrolled", "reason": None})
    session = SimpleNamespace(venue=None, starts_at=at, timezone=timezone, title="IA")
    lines = [StoryLine(at, happened=row)]
    story = replace(STORY, lines=lines, sessions={UUID(int=3): cast(Any, session)})
    html = bytes(RENDERING.page("person.html", **LOG, **STORY_PAGE | {"story": story}).body).decode()
    assert said in html
