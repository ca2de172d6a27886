"""The notifier's pages: golden pages show them; here is what no state of theirs shows."""

import re
from pathlib import Path
from types import SimpleNamespace

from services.notifier.pages import mail_log, rendering
from services.notifier.service import mails
from shared.events.enrolment import Awaiting, LapseCause, WithdrawnBy
from shared.web import labels
from shared.web.form_errors import FormError, sentence
from shared.web.rendering import Sites

RENDERING = rendering(Sites(catalogue="http://catalogue"))


def test_every_error_of_a_form_has_a_french_sentence_and_every_sentence_an_error() -> None:
    pages = Path(mail_log.__file__).parent.glob("*.py")
    codes = {code for page in pages for code in re.findall(r'FormError\("(\w+)"', page.read_text())}
    assert codes == set(RENDERING.module("erreurs.html").errors)
    for code in codes:
        assert re.fullmatch(r"[A-ZÉ].*\.", sentence(RENDERING, FormError(code)))


def test_every_decision_about_a_mail_has_a_label() -> None:
    decisions = {mails.SENT_AGAIN_AS, mails.SENT_AGAIN_AFTER, mails.RESOLVED_AS_SENT, mails.RESENT}
    assert set(labels.MAIL_DECISIONS) == decisions


def test_every_reason_of_a_happening_has_a_label() -> None:
    reasons = {*WithdrawnBy, *LapseCause, *Awaiting, "moved_here", "from_waiting_list", "joined", "certified"}
    assert reasons <= set(labels.HAPPENED_BECAUSE)


def test_a_letter_and_a_decision_that_only_a_newer_version_knows_are_shown_by_their_codes() -> None:
    shown = RENDERING.module("mails.html")
    assert shown.letter(SimpleNamespace(template="of-a-newer-version")) == "of-a-newer-version"
    assert shown.decision("done otherwise", "/courriels/suivi") == "done otherwise"
