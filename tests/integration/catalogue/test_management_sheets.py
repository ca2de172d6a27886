"""Sessions in and out by the pages of a delegation."""

import re
from html import unescape

import httpx
import pytest

from shared.web import workbooks
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, hidden, organiser, upload
from tests.integration.catalogue.conftest import BRETAGNE, CORSE, EventsOf, drafted, published

__all__ = ["organiser"]


async def test_a_sheet_is_tried_then_drafted_and_comes_out_again(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    content = (
        "Offre;Début;Fin;Ouverture des inscriptions;Lieu\r\n"
        f"{an_empty_offer};30/03/2027 09:30;30/03/2027 17:00;01/03/2027 09:00;Rennes\r\n"
    ).encode("cp1252")
    tried = await upload(organiser, content, essai="oui")
    assert "Le fichier est bon\u00a0: 1 session." in tried.text
    assert (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"] == []
    drafted = await upload(organiser, content)
    assert "1 session en brouillon" in drafted.text
    for page in (await organiser.get("/gestion/sessions/importer"), drafted):
        # The next file is tried first too, whatever became of this one.
        assert 'name="essai" type="checkbox" value="oui" checked>' in page.text
    (item,) = (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]
    assert (item["organiser"], item["starts_at"]) == ("bretagne", "2027-03-30T07:30:00Z")
    for form in ("csv", "xlsx"):
        exported = await organiser.get(f"/gestion/sessions.{form}")
        assert exported.headers["content-disposition"] == f'attachment; filename="sessions.{form}"'
        assert item["session_id"] in _sheet(form, exported)
        assert "Rien n’a changé" in (await upload(organiser, exported.content)).text


async def test_a_file_that_was_tried_is_saved_by_the_next_button_and_another_one_is_tried_first(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    def of(town: str) -> bytes:
        return (
            "Offre;Début;Fin;Ouverture des inscriptions;Lieu\r\n"
            f"{an_empty_offer};30/03/2027 09:30;30/03/2027 17:00;01/03/2027 09:00;{town}\r\n"
        ).encode()

    tried = await upload(organiser, of("Rennes"), essai="oui")
    assert 'name="essai" type="checkbox" value="oui">' in tried.text
    assert "<button>Enregistrer le fichier</button>" in tried.text
    seen = {"empreinte": hidden(tried.text, "empreinte")}
    other = await upload(organiser, of("Vannes"), **seen)
    assert "Ce n’est pas le fichier qui avait été essayé" in other.text
    assert (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"] == []
    await upload(organiser, of("Rennes"), **seen)
    (item,) = (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]
    assert item["venue"] == "Rennes"


async def test_an_export_has_what_the_list_shows_or_all(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    draft = (await drafted(ask, an_empty_offer))["session_id"]
    announced = await published(ask, an_empty_offer)
    page = (await organiser.get("/gestion?etat=draft&tri=modifiees")).text
    (address,) = re.findall(r'href="(/gestion/sessions\.csv[^"]*)"', page)
    exported = (await organiser.get(unescape(address))).text
    assert (draft in exported, announced in exported) == (True, False)
    everything = (await organiser.get("/gestion/sessions.csv")).text
    assert (draft in everything, announced in everything) == (True, True)


def _sheet(form: str, exported: httpx.Response) -> str:
    """The lines of an exported file."""
    content = workbooks.as_csv(exported.content) if form == "xlsx" else exported.content
    return content.decode()


async def test_a_workbook_is_tried_then_drafted_with_its_dates_as_texts_or_as_days(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    content = workbooks.of_csv(
        (
            "Offre;Début;Fin;Ouverture des inscriptions;Lieu;Référence\r\n"
            f"{an_empty_offer};46476.395833333336;30/03/2027 17:00;46447.375;Rennes;\r\n"
        ).encode()
    )
    tried = await upload(organiser, content, essai="oui")
    assert "Le fichier est bon\u00a0: 1 session." in tried.text
    assert (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"] == []
    assert "1 session en brouillon" in (await upload(organiser, content)).text
    assert "Rien n’a changé" in (await upload(organiser, content)).text
    (item,) = (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]
    assert (item["starts_at"], item["ends_at"]) == ("2027-03-30T07:30:00Z", "2027-03-30T15:00:00Z")
    assert item["enrolment_opens_at"] == "2027-03-01T08:00:00Z"


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_what_comes_out_is_the_delegations_own(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, form: str
) -> None:
    theirs = await published(ask, an_empty_offer, by=CORSE)
    ours = await published(ask, an_empty_offer)
    exported = _sheet(form, await organiser.get(f"/gestion/sessions.{form}"))
    assert ours in exported
    assert theirs not in exported


async def test_every_line_that_is_wrong_is_told_in_french(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    good = f"{an_empty_offer};2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;<b>Rennes</b>\n"
    lines = [
        good,
        good.replace("17:00", "08:00"),
        good.replace("essai", "rien"),
        good.replace("2027-03-30 09", "x"),
    ]
    answer = await upload(
        organiser, ("Offre;Début;Fin;Ouverture des inscriptions;Lieu\n" + "".join(lines)).encode()
    )
    assert answer.status_code == 422
    cells = r"<td[^>]*>(.*?)</td>"
    rows = re.findall(rf"</span>(\d+)</th>{cells}{cells}{cells}", answer.text.replace("\u00a0", " "))
    columns = [(line, " ".join(re.sub("<.*?>", " ", column).split())) for line, _, column, _ in rows]
    assert columns == [("3", "Fin « 2027-03-30 08:00 »"), ("4", "Offre « rien »"), ("5", "Début « x:30 »")]
    assert rows[1][3] == "Cette offre n’existe pas."
    assert "<b>Rennes" not in answer.text
    assert "Ce fichier est un classeur" in (await upload(organiser, b"PK\x03\x04...")).text
    assert await events_of() == []


async def test_a_file_comes_with_the_key_of_the_login_too(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    assert (await upload(organiser, b"Offre", key="autre")).status_code == 403
    key = hidden((await organiser.get("/gestion/sessions/importer")).text, "cle")
    without = await organiser.post("/gestion/sessions/importer", data={"cle": key})
    assert without.status_code == 400
    form = {"content-type": "multipart/form-data; boundary=x"}
    for rubbish in (b"", b"--x\r\n\r\n", b"\xff" * 100, b"--x--"):
        answer = await organiser.post("/gestion/sessions/importer", content=rubbish, headers=form)
        assert answer.status_code in (400, 403)
