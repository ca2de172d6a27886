"""The notifier's pages: accessible, without scripts, and closed to everything from elsewhere."""

import itertools
import re
from typing import Any
from uuid import UUID

import pytest
from starlette.responses import Response

from services.notifier.pages import mail_log, rendering
from services.notifier.pages.mail_log import SPACE, STATES
from services.notifier.pages.subscribing import SubscriptionMessage, _groups
from shared.auth import Principal, Role
from shared.web.notices import Error
from tests.unit.notifier.reading import Page

EVIL = "<script>alert(1)</script>\" onclick='x'"
MAIL = {
    "id": UUID(int=1),
    "letter": "Votre convocation",
    "agent": "A-1",
    "address": EVIL,
    "state": "incertain",
    "ambiguous": True,
    "created": "lundi",
    "due": "lundi",
    "settled": None,
    "attempts": 1,
    "answer": EVIL,
    "message_id": "<1@x.example>",
    "cause": UUID(int=2),
}
WHO = Principal(name="Camille", role=Role.SUPPORT)
LOG: dict[str, Any] = {"who": WHO, "form_key": "key", "log": "/courriels/suivi"}
LOG_IN: dict[str, Any] = {"space": SPACE, "towards": "", "typed": "", "late": False}
PAGES: list[tuple[str, dict[str, Any]]] = [
    ("subscribe.html", {"address": "", "groups": _groups(frozenset(), {"community:rh": EVIL}), "errors": {}}),
    (
        "subscribe.html",
        {
            "address": EVIL,
            "groups": _groups(frozenset({"theme:enjeux-ia"})),
            "errors": {"adresse": "Saisissez une adresse.", "interet": "Choisissez."},
        },
    ),
    ("confirm.html", {"interests": [EVIL]}),
    ("confirmed.html", {"interests": ["Un thème"], "preferences": "https://x.example/p"}),
    ("preferences.html", {"groups": _groups(frozenset({"community:ia-et-territoires"}))}),
    ("unsubscribe.html", {}),
    ("log-in.html", LOG_IN | {"wrong": False}),
    ("log-in.html", LOG_IN | {"wrong": True, "typed": EVIL, "late": True}),
    (
        "mail-log.html",
        LOG
        | {
            "agent": EVIL,
            "state": "sent",
            "errors": {},
            "states": STATES,
            "mails": [MAIL],
            "before": "2025-03-10 1",
        },
    ),
    (
        "one-mail.html",
        LOG
        | {
            "mail": MAIL,
            "to": EVIL,
            "text": EVIL,
            "can_be_sent_again": True,
            "audit": [("lundi", EVIL, "renvoyé")],
        },
    ),
]


NOTICES = [*SubscriptionMessage, *mail_log.MailLogMessage, *Error]
RENDERING = rendering("http://catalogue")
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
    page = Page(html)
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
    page = Page(bytes(response.body).decode())
    for tag, attributes in page.attributes:
        assert tag not in ("script", "iframe", "img", "link", "object", "embed")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("template", ["subscribe.html", "mail-log.html", "log-in.html"])
def test_a_page_with_an_error_says_so_in_its_title(template: str) -> None:
    values = {
        "subscribe.html": {"address": "", "groups": _groups(frozenset()), "errors": {"adresse": "Non."}},
        "mail-log.html": LOG
        | {
            "agent": "",
            "state": "",
            "errors": {"agent": "Non."},
            "states": STATES,
            "mails": [],
            "before": None,
        },
        "log-in.html": LOG_IN | {"wrong": True},
    }[template]
    html = bytes(rendering("http://catalogue").page(template, **values).body).decode()
    assert "<title>Erreur" in html
    assert 'aria-invalid="true"' in html
