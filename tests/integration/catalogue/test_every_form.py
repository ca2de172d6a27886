"""What holds for every form about a session, an offer, a resource or a request of an authority."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import unescape

import pytest
from sqlalchemy import text

from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, local, log_in, send, unseen_fields, wrong_fields
from tests.integration.catalogue.conftest import ADMIN, CORSE, change, drafted, published
from tests.integration.catalogue.test_bespoke import ADVISOR, a_bespoke_request, hear, reply
from tests.integration.catalogue.test_offers import an_offer_form
from tests.integration.catalogue.test_resources import REPLAY, published_replay

ADVISOR_FIELDS = {f"advisor_{name}": value for name, value in ADVISOR.items()}


@dataclass(frozen=True)
class FormCase:
    """A form of a subject, at the end of its address: what it says when it is done, and what is typed.

    ``action`` and ``changes`` are the last entry of the history then. ``wrong``: a field and a mistake.
    """

    subject: str
    end: str
    done: str
    action: str
    changes: tuple[str, ...] = ()
    typed: dict[str, str] = field(default_factory=dict)
    wrong: tuple[str, str] | None = None


FORMS = {
    "session": FormCase(
        *("session", "", "modifiee", "changed", ("title",)),
        typed={"title": "Autre titre"},
        wrong=("capacity", "beaucoup"),
    ),
    "seats": FormCase(
        *("session", "/places", "modifiee", "changed", ("capacity",)),
        typed={"capacity": "12", "confirmer": "oui"},
        wrong=("capacity", "x"),
    ),
    "dates": FormCase(
        *("session", "/reporter", "modifiee", "changed", ("starts_at", "ends_at", "enrolment_closes_at")),
        typed={"starts_at": local(50), "confirmer": "oui"},
        wrong=("starts_at", "demain"),
    ),
    "cancellation": FormCase(
        *("session", "/annuler", "annulee", "cancelled", ("status", "cancellation_reason")),
        typed={"reason": "Salle inondée."},
        wrong=("reason", "Voyez remboursement.example.org"),
    ),
    "publication": FormCase("draft", "/publier", "publiee", "published", ("status",)),
    "deletion": FormCase("draft", "/supprimer", "supprimee", "deleted"),
    "offer": FormCase(
        *("offer", "", "offre-modifiee", "changed", ("title",)),
        typed=an_offer_form(format="local_event"),
        wrong=("title", ""),
    ),
    "offer withdrawn": FormCase("offer", "/retirer", "offre-retiree", "withdrawn"),
    "resource": FormCase(
        *("resource", "", "corrigee", "changed", ("title",)),
        typed={"title": "Mien", "url": REPLAY["url"], "summary": ""},
        wrong=("url", "ici"),
    ),
    "resource withdrawn": FormCase("resource", "/retirer", "retiree", "withdrawn"),
    "answer": FormCase(
        *("request", "", "oui", "answered", ("state",)),
        typed=ADVISOR_FIELDS | {"answer": "proposed", "message": "En mars."},
        wrong=("advisor_email", "paul"),
    ),
    "hand-over": FormCase(
        *("request", "/confier", "confiee", "handed_over"), typed=ADVISOR_FIELDS, wrong=("advisor_name", "")
    ),
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
        made = await (published(ask, an_empty_offer) if form.subject == "session" else a_draft(ask))
        return f"sessions/{made}", lambda: change(ask, made, venue="Morlaix")
    if form.subject == "offer":
        path = f"offres/{an_empty_offer}"
        return path, lambda: ask("PATCH", f"/offers/{an_empty_offer}", by=ADMIN, summary="Autre.")
    if form.subject == "resource":
        replay = await published_replay(ask)
        return f"ressources/{replay}", lambda: ask("PATCH", f"/resources/{replay}", by=ADMIN, summary="Une.")
    request = await hear(database, a_bespoke_request())
    return f"demandes/{request}", lambda: reply(ask, request, "qualified")


async def a_draft(ask: Ask) -> str:
    return str((await drafted(ask, "essai"))["session_id"])


@EVERY_FORM
async def test_a_form_over_a_colleagues_change_keeps_what_was_typed_and_is_done_when_sent_again(
    form: FormCase, subject: tuple[str, FormChange], visit: HttpBrowser, database: Database
) -> None:
    path, change_meanwhile = subject
    address = f"/gestion/{path}{form.end}"
    await log_in(visit, ADMIN)
    opened = unseen_fields((await visit.get(address)).text)
    await change_meanwhile()
    late = await visit.post(address, data=opened | form.typed)
    assert late.status_code == 412
    shown = unescape(late.text)
    kept = [typed for name, typed in form.typed.items() if name not in ("confirmer", "answer")]
    assert [typed for typed in kept if typed not in shown] == []
    # A question is asked again; a form is on the page.
    asked = late if 'name="version"' in late.text else await visit.get(address)
    again = await visit.post(address, data=opened | form.typed | unseen_fields(asked.text))
    assert again.headers["location"].endswith(f"?fait={form.done}")
    query = text("SELECT action, changes FROM audit_log ORDER BY id DESC LIMIT 1")
    async with database.quiet_transaction() as tx:
        done = (await tx.execute(query)).one()
    assert done.action == form.action
    assert set(form.changes) <= set(done.changes)


@pytest.mark.parametrize("form", WITH_A_MISTAKE.values(), ids=WITH_A_MISTAKE)
async def test_a_form_with_a_mistake_does_nothing_and_says_so_beside_the_field(
    form: FormCase, subject: tuple[str, FormChange], visit: HttpBrowser
) -> None:
    await log_in(visit, ADMIN)
    assert form.wrong is not None
    name, mistake = form.wrong
    answer = await send(visit, f"/gestion/{subject[0]}{form.end}", **form.typed | {name: mistake})
    assert wrong_fields(answer) == [name]
    assert mistake in answer.text


@EVERY_FORM
async def test_the_subject_of_another_delegation_has_no_form(
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
