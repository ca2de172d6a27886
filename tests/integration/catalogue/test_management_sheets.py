"""Sessions in and out by the pages of a delegation, as CSV or as a workbook."""

import re
from html import unescape

import pytest

from shared.web import workbooks
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, hidden, organiser, upload
from tests.integration.catalogue.conftest import BRETAGNE, CORSE, drafted, listed, published

__all__ = ["organiser"]

SHEET = (
    "Offre;Début;Fin;Ouverture des inscriptions;Lieu\r\n"
    "essai;30/03/2027 09:30;30/03/2027 17:00;01/03/2027 09:00;{town}\r\n"
)


def a_sheet(form: str, town: str = "Rennes") -> bytes:
    if form == "csv":
        return SHEET.format(town=town).encode("cp1252")
    # A workbook may have its dates as numbers of days.
    with_numbers = SHEET.replace("30/03/2027 09:30", "46476.395833333336").replace(
        "01/03/2027 09:00", "46447.375"
    )
    return workbooks.of_csv(with_numbers.format(town=town).encode())


@pytest.mark.usefixtures("an_empty_offer")
@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_a_file_is_tried_then_drafted_and_comes_out_again(
    organiser: HttpBrowser, ask: Ask, form: str
) -> None:
    content = a_sheet(form)
    tried = await upload(organiser, content, essai="oui")
    seen = {"empreinte": hidden(tried.text, "empreinte")}
    other = await upload(organiser, a_sheet(form, "Vannes"), **seen)
    assert "Ce n’est pas le fichier qui avait été essayé" in other.text
    assert await listed(ask, by=BRETAGNE) == []
    await upload(organiser, content, **seen)
    (item,) = await listed(ask, by=BRETAGNE)
    assert (item["organiser"], item["venue"], item["starts_at"], item["enrolment_opens_at"]) == (
        *("bretagne", "Rennes"),
        *("2027-03-30T07:30:00Z", "2027-03-01T08:00:00Z"),
    )
    exported = await organiser.get(f"/gestion/sessions.{form}")
    assert exported.headers["content-disposition"] == f'attachment; filename="sessions.{form}"'
    for same in (content, exported.content):
        assert "Rien n’a changé" in (await upload(organiser, same)).text


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_an_export_has_the_sessions_of_the_list_or_all_of_the_delegation(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, form: str
) -> None:
    draft = (await drafted(ask, an_empty_offer))["session_id"]
    ours, theirs = [await published(ask, an_empty_offer, by=by) for by in (BRETAGNE, CORSE)]

    async def exported(address: str) -> list[bool]:
        content = (await organiser.get(address)).content
        text = (workbooks.as_csv(content) if form == "xlsx" else content).decode()
        return [session_id in text for session_id in (draft, ours, theirs)]

    page = (await organiser.get("/gestion?etat=draft&tri=modifiees")).text
    (address,) = re.findall(rf'href="(/gestion/sessions\.{form}[^"]*)"', page)
    assert await exported(unescape(address)) == [True, False, False]
    assert await exported(f"/gestion/sessions.{form}") == [True, True, False]


async def test_every_line_that_is_wrong_is_listed_with_its_column(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    good = "essai;2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;<b>Rennes</b>\n"
    wrong = [good, good.replace("17:00", "08:00"), good.replace("essai", "rien")]
    header = SHEET.partition("essai")[0]
    answer = await upload(organiser, (header + "".join(wrong)).encode())
    assert answer.status_code == 422
    rows = re.findall(r"</span>(\d+)</th><td[^>]*>.*?</td><td[^>]*>\s*(\w+)", answer.text, re.DOTALL)
    assert rows == [("3", "Fin"), ("4", "Offre")]
    assert "<b>Rennes" not in answer.text
    assert (await upload(organiser, b"PK\x03\x04...")).status_code == 422
    assert await listed(ask, by=BRETAGNE) == []


async def test_a_file_comes_with_the_key_of_the_login(organiser: HttpBrowser) -> None:
    assert (await upload(organiser, b"Offre", key="autre")).status_code == 403
    key = hidden((await organiser.get("/gestion/sessions/importer")).text, "cle")
    without = await organiser.post("/gestion/sessions/importer", data={"cle": key})
    assert without.status_code == 400
    form = {"content-type": "multipart/form-data; boundary=x"}
    for rubbish in (b"", b"--x\r\n\r\n", b"\xff" * 100, b"--x--"):
        answer = await organiser.post("/gestion/sessions/importer", content=rubbish, headers=form)
        assert answer.status_code in (400, 403)
