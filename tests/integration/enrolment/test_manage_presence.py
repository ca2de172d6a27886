"""Who came, as organisers note and record it on pages; the sheet on paper; certificates."""

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pypdf
import pytest

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Withdrawal
from services.enrolment.service.acting import Acting
from services.enrolment.service.attendance import AttendanceAsSeen, record_as_seen
from services.enrolment.service.failures import NotFound
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent
from shared.references import reference_of
from shared.web.links import ARRIVAL
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, hidden, log_in, page_of, send, text_of
from tests.integration.enrolment.organising import CORSE, MODULES, published_events
from tests.support.builders import an_agent, open_now


async def running(front: Front, **changes: Any) -> tuple[SessionState, list[Agent], list[str]]:
    """A session that has begun, with two people, by family name the second first."""
    session = open_now(**{"starts_at": datetime.now(UTC) - timedelta(hours=1)} | changes)
    agents = [an_agent(family_name="Riou"), an_agent(family_name="Élie")]
    await front.publish(session)
    await front.enrol(session, *agents)
    return session, agents, [str((await front.of(session, agent)).enrolment_id) for agent in agents]


# ------------------------------------------------------------------------------------- recorded


async def test_attendance_is_recorded_for_whom_it_was_chosen(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, (first, second) = await running(front)
    path = page_of(session, "/presence")
    done = await send(
        organiser, path, **{f"avant-{first}": "", f"p-{first}": "attended", f"avant-{second}": ""}
    )
    assert done.headers["location"] == f"{path}?seance=1&fait=presences"
    assert await front.states(session, *agents) == ["certified", "enrolled"]
    changed = {f"avant-{first}": "attended", f"p-{first}": "absent_justified"}
    assert (await send(organiser, path, **changed)).status_code == 303
    assert await front.states(session, *agents) == ["absent_justified", "enrolled"]
    nothing = await send(
        organiser, path, **{f"avant-{first}": "absent_justified", f"p-{first}": "absent_justified"}
    )
    assert "Rien n’a été changé" in text_of(nothing, 422)


async def test_what_somebody_else_recorded_meanwhile_is_shown_and_stays(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, (first, second) = await running(front)
    path = page_of(session, "/presence")
    await send(organiser, path, **{f"avant-{first}": "", f"p-{first}": "absent"})
    both = {f"avant-{first}": "", f"p-{first}": "attended", f"avant-{second}": "", f"p-{second}": "attended"}
    late = await send(organiser, path, **both)
    said = text_of(late, 409)
    assert "Rien n’a été enregistré." in said
    assert "Riou Zoé : absence" in said
    assert hidden(late.text, f"avant-{first}") == "absent"  # sent again, it replaces
    assert await front.states(session, *agents) == ["absent", "enrolled"]


async def test_who_has_lost_their_seat_meanwhile_is_told_and_nothing_is_recorded(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, (first, second) = await running(front)
    path = page_of(session, "/presence")
    await front.answer(
        Withdrawal(uuid4(), session.starts_at - timedelta(hours=1), session.session_id, agents[0].key, None)
    )
    assert await front.states(session, agents[0]) == ["withdrawn"]
    both = {f"avant-{each}": "" for each in (first, second)} | {
        f"p-{each}": "attended" for each in (first, second)
    }
    said = await send(organiser, path, **both)
    assert "Entre-temps une personne a perdu sa place" in text_of(said, 409)
    assert f'name="p-{second}" value="attended" checked' in said.text
    assert await front.states(session, agents[1]) == ["enrolled"]


@pytest.mark.parametrize(("rest", "label"), [("attended", "présence"), ("absent", "absence")])
async def test_one_button_chooses_for_all_for_whom_nothing_is_recorded_noted_or_chosen(
    front: Front, organiser: OrganiserClient, rest: str, label: str
) -> None:
    session, _, (recorded, noted) = await running(front)
    others = an_agent(family_name="Caro"), an_agent(family_name="Dréau"), an_agent(family_name="Even")
    await front.enrol(session, *others)
    by_hand = str((await front.of(session, others[2])).enrolment_id)
    path = page_of(session, "/presence")
    mark = {f"avant-{recorded}": "", f"p-{recorded}": "absent_justified"}
    await send(organiser, path, **mark)
    await send(organiser, page_of(session, "/pointage"), present=noted)
    buttons = re.findall(r'name="reste" value="(\w+)">([^<]+)<', (await organiser.get(path)).text)
    assert (rest, label.capitalize()) in buttons
    page = await send(organiser, path, **{f"p-{by_hand}": "absent_justified", "reste": rest})
    chosen = dict(re.findall(r'name="p-([^"]+)" value="(\w+)" checked', page.text))
    assert chosen.pop(recorded) == "absent_justified"
    assert chosen.pop(noted) == "attended"
    assert chosen.pop(by_hand) == "absent_justified"  # what was chosen by hand stays
    assert [*chosen.values()] == [rest, rest]
    assert f"« {label} » est choisi pour toutes les autres" in text_of(page).replace("\u00a0", " ")
    assert await front.states(session, *others) == ["enrolled"] * 3  # nothing is recorded yet


async def test_each_seance_that_lacks_somebodys_attendance_is_marked(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, ids = await running(front, modules=MODULES)
    path = page_of(session, "/presence")

    async def marked() -> list[str]:
        page = (await organiser.get(f"{path}?seance=1")).text
        return re.findall(r"\?seance=\d+\"[^>]*>(\d)\.[^<]* · à compléter<", page)

    assert await marked() == ["1", "2"]
    everybody = {f"p-{each}": "absent" for each in ids} | {f"avant-{each}": "" for each in ids}
    await send(organiser, f"{path}?seance=2", **everybody)
    assert await marked() == ["1"]
    await send(organiser, f"{path}?seance=1", **everybody)
    assert await marked() == []


async def test_an_attendance_of_nobody_is_no_form_of_ours(front: Front, organiser: OrganiserClient) -> None:
    session, _, _ = await running(front)
    assert (await send(organiser, page_of(session, "/presence"), **{"p-x": "attended"})).status_code == 400


async def test_an_enrolment_in_two_spellings_is_no_form_of_ours(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, (first, _) = await running(front)
    twice = {f"p-{first}": "attended", f"p-{first.upper()}": "absent"}
    assert (await send(organiser, page_of(session, "/presence"), **twice)).status_code == 400
    assert await front.states(session, *agents) == ["enrolled", "enrolled"]


async def test_the_attendance_of_another_session_is_neither_shown_nor_changed(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, _ = await running(front)
    other, _, (stranger, _) = await running(front)
    await send(organiser, page_of(other, "/presence"), **{f"avant-{stranger}": "", f"p-{stranger}": "absent"})
    said = await send(organiser, page_of(session, "/presence"), **{f"p-{stranger}": "attended"})
    assert "Entre-temps une personne a perdu sa place" in text_of(said, 409)


async def test_what_is_recorded_in_a_session_of_others_is_not_told(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    session, _, (first, _) = await running(front)
    await send(organiser, page_of(session, "/presence"), **{f"avant-{first}": "", f"p-{first}": "absent"})
    change = AttendanceAsSeen(UUID(first), 0, None, Attendance.ATTENDED)
    corse = Principal(name="advisor-corse", role=Role.ORGANISER, delegation="corse")
    async with database.transaction() as tx:
        acting = Acting(tx, corse, Policy(), datetime.now(UTC))
        with pytest.raises(NotFound):
            await record_as_seen(acting, session.session_id, [change])


async def test_each_seance_has_its_own_attendance(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents, (first, _) = await running(front, modules=MODULES)
    path = page_of(session, "/presence")
    done = await send(organiser, f"{path}?seance=2", **{f"avant-{first}": "", f"p-{first}": "attended"})
    assert done.headers["location"] == f"{path}?seance=2&fait=presences"
    (event,) = await published_events(rows, "AttendanceRecorded")
    assert event["module"] == "Pratiquer"
    assert await front.states(session, *agents) == ["attended", "enrolled"]
    past = text_of(await organiser.get(page_of(session, "/historique"))).replace("\u00a0", " ")
    assert "Présence, séance 2 : présence" in past


async def test_nothing_is_recorded_before_the_beginning(front: Front, organiser: OrganiserClient) -> None:
    session, agents, (first, _) = await running(front, starts_at=datetime.now(UTC) + timedelta(days=2))
    path = page_of(session, "/presence")
    assert "les présences s’enregistrent à partir de là" in text_of(await organiser.get(path))
    early = await send(organiser, path, **{f"avant-{first}": "", f"p-{first}": "attended"})
    assert "La séance n’a pas commencé" in text_of(early, 409)
    assert "vous pointez d’avance" in text_of(await organiser.get(page_of(session, "/pointage")))
    assert await front.states(session, *agents) == ["enrolled", "enrolled"]


# ------------------------------------------------------------------------------------- at the door


async def test_who_comes_is_noted_by_a_tap_and_it_can_be_undone(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents, (first, second) = await running(front)
    path = page_of(session, "/pointage")
    page = text_of(await organiser.get(path))
    assert "Pointage : 0 sur 2" in page
    assert page.index("Élie Zoé") < page.index("Riou Zoé")
    done = await send(organiser, path, present=first)
    assert done.headers["location"] == f"{path}?seance=1&fait=pointee-{first}#p-{first}"
    await send(organiser, path, present=second)
    await send(organiser, path, present=second)  # twice is once
    page = text_of(await organiser.get(done.headers["location"]))
    assert "Pointage : 2 sur 2" in page
    assert "Riou Zoé est là." in page
    undone = await send(organiser, path, annuler=first)
    page = text_of(await organiser.get(undone.headers["location"]))
    assert "Pointage : 1 sur 2" in page
    assert "L’arrivée de Riou Zoé est annulée." in page
    assert "vous pointez d’avance" not in page
    # Noted, not recorded: nobody is certified at the door.
    assert await front.states(session, *agents) == ["enrolled", "enrolled"]
    assert await published_events(rows, "AttendanceRecorded") == []
    sheet = (await organiser.get(page_of(session, "/presence"))).text
    assert f'name="p-{second}" value="attended" checked' in sheet
    assert f'name="p-{first}" value="attended" checked' not in sheet
    assert "1 arrivée pointée" in sheet
    both = {f"avant-{each}": "" for each in (first, second)} | {f"p-{second}": "attended"}
    await send(organiser, page_of(session, "/presence"), **both)
    assert "reste à enregistrer" not in (await organiser.get(page_of(session, "/presence"))).text


async def test_who_comes_is_noted_by_the_reference_in_their_letter(
    front: Front, organiser: OrganiserClient
) -> None:
    session, agents, _ = await running(front)
    path = page_of(session, "/pointage")
    reference = reference_of((await front.of(session, agents[0])).enrolment_id)
    assert (await send(organiser, path, code=reference.lower())).status_code == 303
    assert "Pointage : 1 sur 2" in text_of(await organiser.get(path))
    other, _, (stranger, _) = await running(front)
    for wrong in ("", "ZZZZ-ZZZZ", "x", stranger):
        refused = await send(organiser, path, code=wrong)
        assert "Cette référence n’est celle d’aucune personne" in text_of(refused, 422)
        assert re.search(rf'name="code"[^>]* value="{wrong}"', refused.text)  # to be corrected
    assert "Pointage : 0 sur 2" in text_of(await organiser.get(page_of(other, "/pointage")))


async def test_where_more_have_a_seat_than_a_page_shows_it_says_so_and_counts_all(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _, (first, _) = await running(front)
    for most in ("EXPECTED", "SHOWN"):
        monkeypatch.setattr(f"services.enrolment.pages.manage.presence.{most}", 1)
    await send(organiser, page_of(session, "/pointage"), code=first)
    page = text_of(await organiser.get(page_of(session, "/pointage")))
    assert "Pointage : 1 sur 2" in page
    assert "les autres se pointent par leur référence" in page
    assert "Élie Zoé" in page
    assert "Riou Zoé" not in page
    page = text_of(await organiser.get(page_of(session, "/presence"))).replace("\u00a0", " ")
    assert "Voici 1 des 2 personnes qui ont une place" in page
    printed = await organiser.get(page_of(session, "/emargement.pdf"))
    text = pypdf.PdfReader(io.BytesIO(printed.content)).pages[0].extract_text()
    assert text.index("Élie") < text.index("Riou")


# ------------------------------------------------------------------------------------- on paper


async def test_the_sheet_on_paper_names_who_has_a_seat_whatever_their_names(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, _ = await running(front, modules=MODULES)
    await front.enrol(session, an_agent(family_name="#let 测试 $x$", given_name="*Zoé*"))
    answer = await organiser.get(page_of(session, "/emargement.pdf"))
    assert answer.headers["content-type"] == "application/pdf"
    read = pypdf.PdfReader(io.BytesIO(answer.content))
    text = "\n".join(page.extract_text() for page in read.pages)
    assert len(read.pages) == 2
    for expected in ("Feuille d’émargement", "Riou", "Élie", "#let", "*Zoé*", "Signature", "Pratiquer"):
        assert expected in text
    assert "CNFPT" not in text.replace("du CNFPT", "")


async def test_the_code_that_somebody_shows_leads_to_one_tap(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, _, (first, _) = await running(front, venue="Rennes")
    path = f"{ARRIVAL}/{first}"
    assert "Riou" in text_of(await organiser.get(path))
    assert await rows("SELECT enrolment_id FROM arrival") == []  # opening it changes nothing
    noted = await send(organiser, path)
    assert "Arrivée à" in text_of(await organiser.get(noted.headers["location"]))
    assert len(await rows("SELECT enrolment_id FROM arrival")) == 1
    await send(organiser, path, annuler="oui")
    assert await rows("SELECT enrolment_id FROM arrival") == []
    read_by_camera = await send(
        organiser, page_of(session, "/pointage"), code=f"https://parcours.example{path}"
    )
    assert f"pointee-{first}" in read_by_camera.headers["location"]


async def test_what_was_tapped_without_a_network_is_noted_for_when_it_was(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, _, (first, second) = await running(front)
    path, now = page_of(session, "/pointage"), datetime.now(UTC)
    tapped = (now - timedelta(minutes=20)).replace(microsecond=0)
    sent = await send(organiser, path, present=first, differe=tapped.isoformat().replace("+00:00", "Z"))
    assert (sent.status_code, sent.content) == (204, b"")
    assert [row.at for row in await rows("SELECT at FROM arrival")] == [tapped]
    again = await send(organiser, path, present=first, differe=now.isoformat())
    assert again.status_code == 204
    assert [row.at for row in await rows("SELECT at FROM arrival")] == [tapped]
    refused = await send(organiser, path, present=str(session.session_id), differe=now.isoformat())
    assert (refused.status_code, refused.content) == (422, b"")
    for not_believed in ("", "hier", "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        await send(organiser, path, annuler=second, differe=not_believed)
        assert (await send(organiser, path, present=second, differe=not_believed)).status_code == 204
        [at] = [row.at for row in await rows("SELECT at FROM arrival ORDER BY at DESC LIMIT 1")]
        assert now <= at <= datetime.now(UTC), not_believed


async def test_a_stranger_who_reads_a_code_sees_nothing(front: Front, visitor: OrganiserClient) -> None:
    _, _, (first, _) = await running(front)
    path = f"{ARRIVAL}/{first}"
    stranger = await visitor.get(path)
    assert stranger.status_code == 303
    assert stranger.headers["location"].startswith(f"{MANAGE}/connexion?")
    await log_in(visitor, CORSE)
    assert (await visitor.get(path)).status_code == 404
    assert (await visitor.post(path, data={"cle": "x"})).status_code == 403


async def test_who_has_no_seat_is_not_noted_by_their_code(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    _, (agent, _), (first, _) = await running(front)
    waits = open_now(capacity=0, waiting_list="automatic")
    await front.publish(waits)
    await front.enrol(waits, agent)
    path = f"{ARRIVAL}/{(await front.of(waits, agent)).enrolment_id}"
    assert "n’a pas de place dans la session" in text_of(await organiser.get(path))
    await send(organiser, f"{ARRIVAL}/{first}", path)
    assert await rows("SELECT enrolment_id FROM arrival") == []


async def test_certificates_are_read_in_as_many_files_as_they_take(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _, ids = await running(front)
    await front.enrol(session, last := an_agent(family_name="Abel"))
    ids.append(str((await front.of(session, last)).enrolment_id))
    presence = page_of(session, "/presence")
    marks = {f"avant-{each}": "" for each in ids} | {f"p-{each}": "attended" for each in ids}
    assert (await send(organiser, presence, **marks)).status_code == 303
    for most, expected in (
        (1, {"1": ["Riou"], "2": ["Élie"], "3": ["Abel"]}),
        (2, {"1 à 2": ["Riou", "Élie"], "3": ["Abel"]}),
        (3, {}),
    ):
        monkeypatch.setattr("services.enrolment.pages.manage.presence._CERTIFICATES", most)
        page = (await organiser.get(presence)).text
        links = re.findall(r'href="([^"]+)"><span class="hidden">Attestations </span>([^<]+)</a>', page)
        found = {}
        for address, label in links:
            zipped = await organiser.get(address)
            with zipfile.ZipFile(io.BytesIO(zipped.content)) as files:
                found[label] = [
                    name
                    for name in ("Riou", "Élie", "Abel")
                    if any(
                        name in pypdf.PdfReader(io.BytesIO(files.read(each))).pages[0].extract_text()
                        for each in files.namelist()
                    )
                ]
        assert found == expected, most


async def test_certificates_are_read_one_by_one_and_together(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _, (first, second) = await running(front)
    presence, zip_file = page_of(session, "/presence"), page_of(session, "/attestations.zip")
    assert (await organiser.get(zip_file)).status_code == 404
    assert zip_file not in (await organiser.get(presence)).text
    await send(organiser, page_of(session, "/presence"), **{f"avant-{first}": "", f"p-{first}": "attended"})
    assert f'href="{zip_file}">Attestations (ZIP)' in (await organiser.get(presence)).text
    zipped = await organiser.get(zip_file)
    assert zipped.headers["content-type"] == "application/zip"
    person = f"{MANAGE}/inscriptions/{first}"
    assert f'href="{person}/attestation.pdf"' in (await organiser.get(person)).text
    assert (await organiser.get(f"{person}/attestation.pdf")).content.startswith(b"%PDF")
    assert (await organiser.get(f"{MANAGE}/inscriptions/{second}/attestation.pdf")).status_code == 404
