"""What holds for every form about a session, an offer, a resource or a request of an authority."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import unescape

import pytest

from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, error_of, log_in, send, unseen_fields
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, CORSE, drafted, in_days, published
from tests.integration.catalogue.test_bespoke import a_bespoke_request, hear, reply
from tests.integration.catalogue.test_offers import an_offer_form
from tests.integration.catalogue.test_resources import REPLAY, published_replay

ADVISOR = {"advisor_name": "Paul Petit", "advisor_email": "paul.petit@delegation.example"}
LATER = in_days(50).strftime("%Y-%m-%dT%H:%M")


@dataclass(frozen=True)
class FormCase:
    """A form: its subject, the end of its address, what is typed, and a field with a mistake."""

    subject: str
    end: str = ""
    typed: dict[str, str] = field(default_factory=dict)
    wrong: tuple[str, str] | None = None


FORMS = {
    "session": FormCase("session", typed={"title": "Autre titre"}, wrong=("capacity", "beaucoup")),
    "seats": FormCase("session", "/places", {"capacity": "12", "confirmer": "oui"}, ("capacity", "x")),
    "dates": FormCase(
        "session", "/reporter", {"starts_at": LATER, "confirmer": "oui"}, ("starts_at", "demain")
    ),
    "cancellation": FormCase("session", "/annuler", {"reason": "Salle inondée."}, ("reason", "é" * 501)),
    "publication": FormCase("draft", "/publier"),
    "deletion": FormCase("draft", "/supprimer"),
    "offer": FormCase("offer", typed=an_offer_form(format="local_event"), wrong=("title", "")),
    "offer withdrawn": FormCase("offer", "/retirer"),
    "resource": FormCase(
        "resource", typed={"title": "Mien", "url": REPLAY["url"], "summary": ""}, wrong=("url", "ici")
    ),
    "resource withdrawn": FormCase("resource", "/retirer"),
    "answer": FormCase(
        "request",
        typed=ADVISOR | {"answer": "proposed", "message": "En mars."},
        wrong=("advisor_email", "paul"),
    ),
    "hand-over": FormCase("request", "/confier", ADVISOR, ("advisor_name", "")),
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
WITH_A_MISTAKE = {name: form for name, form in FORMS.items() if form.wrong is not None}
FormChange = Callable[[], Awaitable[object]]


@pytest.fixture
async def subject(
    form: FormCase, ask: Ask, database: Database, an_empty_offer: str
) -> tuple[str, FormChange]:
    """The address of the form's subject, and a change of the subject by a colleague."""
    if form.subject in ("session", "draft"):
        draft = (await drafted(ask, an_empty_offer))["session_id"]
        made = draft if form.subject == "draft" else await published(ask, an_empty_offer)
        return f"sessions/{made}", lambda: ask("PATCH", f"/sessions/{made}", by=BRETAGNE, venue="Morlaix")
    if form.subject == "offer":
        path = f"offres/{an_empty_offer}"
        return path, lambda: ask("PATCH", f"/offers/{an_empty_offer}", by=ADMIN, summary="Autre.")
    if form.subject == "resource":
        replay = await published_replay(ask)
        return f"ressources/{replay}", lambda: ask("PATCH", f"/resources/{replay}", by=ADMIN, summary="Une.")
    request = await hear(database, a_bespoke_request())
    return f"demandes/{request}", lambda: reply(ask, request, "qualified")


@EVERY_FORM
async def test_a_form_over_a_colleagues_change_does_nothing_and_keeps_what_was_typed(
    form: FormCase, subject: tuple[str, FormChange], visit: HttpBrowser
) -> None:
    path, change = subject
    address = f"/gestion/{path}{form.end}"
    await log_in(visit, ADMIN)
    opened = unseen_fields((await visit.get(address)).text)
    answer = await change()
    assert getattr(answer, "is_success", False)
    late = await visit.post(address, data=opened | form.typed)
    assert late.status_code == 412
    shown = unescape(late.text)
    kept = [text for name, text in form.typed.items() if name not in ("confirmer", "answer")]
    assert [text for text in kept if text not in shown] == []
    again = await visit.post(address, data=opened | form.typed | unseen_fields(late.text))
    assert again.status_code == 303


@pytest.mark.parametrize("form", WITH_A_MISTAKE.values(), ids=WITH_A_MISTAKE)
async def test_a_form_with_a_mistake_does_nothing_and_says_so_beside_the_field(
    form: FormCase, subject: tuple[str, FormChange], visit: HttpBrowser
) -> None:
    await log_in(visit, ADMIN)
    assert form.wrong is not None
    name, text = form.wrong
    answer = await send(visit, f"/gestion/{subject[0]}{form.end}", **form.typed | {name: text})
    assert answer.status_code == 422
    assert error_of(answer, name)
    assert text in answer.text


@EVERY_FORM
async def test_what_belongs_to_another_delegation_has_no_form(
    form: FormCase, subject: tuple[str, FormChange], visit: HttpBrowser
) -> None:
    address = f"/gestion/{subject[0]}{form.end}"
    await log_in(visit, ADMIN)
    opened = unseen_fields((await visit.get(address)).text)
    await log_in(visit, CORSE)
    own = unseen_fields((await visit.get("/gestion/ressources/nouvelle")).text)
    answer = await visit.post(address, data=opened | form.typed | own)
    assert answer.status_code == (403 if form.subject == "offer" else 404)
    if form.subject != "offer":
        assert (await visit.get(address)).status_code == 404
