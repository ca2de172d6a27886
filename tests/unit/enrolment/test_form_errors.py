"""What is wrong with a form of organisers, or why nothing was done, has a French sentence."""

import re
from pathlib import Path

import pytest

from services.enrolment.pages import manage
from services.enrolment.pages.links import TEMPLATES
from services.enrolment.pages.manage.by_hand import WITH_OWN_ERROR
from services.enrolment.pages.manage.person import CORRECTABLE
from services.enrolment.rules.messages import MessageFault
from services.enrolment.rules.organising import OrganisingFault
from shared.events.vocabulary import QuestionKind
from shared.web.form_errors import FormError, sentence
from shared.web.rendering import Rendering

RENDERING = Rendering(TEMPLATES, notice="message.html")
WRITTEN = {
    code
    for path in Path(manage.__file__).parent.glob("*.py")
    for code in re.findall(r'FormError\(\s*"(\w+)"', path.read_text())
}
OF_FIELDS = {*CORRECTABLE, *WITH_OWN_ERROR}


@pytest.mark.parametrize(
    "code", [*OrganisingFault, *MessageFault, *QuestionKind, *sorted(WRITTEN | OF_FIELDS)]
)
def test_every_error_has_a_french_sentence(code: str) -> None:
    assert re.fullmatch(r"[A-ZÉ3].*[.…]", sentence(RENDERING, FormError(code, 3)))


def test_codes_are_found_in_the_pages() -> None:
    assert {"unchanged", "siret", "not_a_rank", "lien", "note", "invalid"} <= WRITTEN


def test_what_is_quoted_stands_in_the_sentence() -> None:
    assert sentence(RENDERING, FormError("priority", 1000)) == "Indiquez un nombre de 0 à 1000."
