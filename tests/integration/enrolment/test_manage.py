"""Where organisers begin: their sessions alone, what waits for them, the week ahead."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from shared.database import Database
from shared.events.vocabulary import Status
from shared.web import french
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, log_in, page_of, send, text_of
from tests.integration.enrolment.organising import ADMIN, CORSE, MODULES, SUPPORT
from tests.support.builders import an_agent, open_now


async def test_nobody_sees_the_pages_who_is_not_logged_in(visitor: OrganiserClient) -> None:
    answer = await visitor.get(MANAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{MANAGE}/connexion")
    assert (await log_in(visitor, "wrong")).status_code == 403
    assert (await log_in(visitor, SUPPORT)).status_code == 403


async def test_the_first_page_has_the_sessions_of_the_delegation_alone(
    front: Front, visitor: OrganiserClient
) -> None:
    await front.publish(open_now(venue="Hôtel de ville, 35000 Rennes"))
    await front.publish(open_now(venue="Palais, 20000 Ajaccio", organiser="corse"))
    for token, towns in ((CORSE, {"Ajaccio"}), (ADMIN, {"Ajaccio", "Rennes"})):
        await log_in(visitor, token)
        page = text_of(await visitor.get(MANAGE))
        assert {town for town in ("Ajaccio", "Rennes") if town in page} == towns


async def test_a_title_is_escaped_once(front: Front, organiser: OrganiserClient) -> None:
    await front.publish(open_now(title="L'IA & nous : <b>débuter</b>"))
    page = (await organiser.get(MANAGE)).text
    assert "L&#39;IA &amp; nous\N{NO-BREAK SPACE}: &lt;b&gt;débuter&lt;/b&gt;" in page


async def test_a_session_that_is_cancelled_takes_nobody_and_nobody_leaves_it(
    front: Front, organiser: OrganiserClient
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, an_agent())
    offered = ("Ajouter une personne", "Écrire", "Changer la priorité", "Enregistrer leur désistement")
    page = text_of(await organiser.get(page_of(session)))
    assert [each for each in offered if each in page] == [*offered]
    await front.publish(session.model_copy(update={"status": Status.CANCELLED, "version": 9}))
    page = text_of(await organiser.get(page_of(session)))
    assert "Annulée" in page
    assert "Inscriptions jusqu’au" not in page
    assert [each for each in offered if each in page] == []
    messages = await organiser.get(page_of(session, "/messages"))
    assert "Le courriel de l’annulation prévient chaque personne." in text_of(messages)
    assert 'name="texte"' not in messages.text


async def test_what_waits_for_the_organiser_comes_first(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    now = datetime.now(UTC)
    closed = {"enrolment_closes_at": now + timedelta(minutes=1), "starts_at": now + timedelta(days=3)}
    ranked = open_now(approval="selection", venue="Angers", **closed)
    missed = open_now(minimum=5, venue="Brest", **closed)
    offering = open_now(capacity=1, waiting_list="offer", venue="Quimper")
    asking = open_now(approval="employer", venue="Vannes", enrolment_closes_at=now + timedelta(days=3))
    first, second, third = an_agent(), an_agent(), an_agent()
    await front.publish(ranked, missed, offering, asking)
    await front.enrol(ranked, first)
    await front.enrol(asking, first)
    await front.enrol(missed, third)
    await front.enrol(offering, first, second)
    await front.withdraw(offering, first)
    async with database.transaction() as tx:
        await tx.execute(
            text("INSERT INTO bad_address VALUES (:issuer, :agent_id, now())"), third.key._asdict()
        )
        await tx.execute(
            text(
                "UPDATE session SET version = version + 1, state = state || jsonb_build_object("
                "'enrolment_closes_at', now() - interval '1 hour') "
                "WHERE session_id = ANY(:ids)"
            ),
            {"ids": [ranked.session_id, missed.session_id]},
        )
    page = text_of(await organiser.get(MANAGE))
    left = french.days_until(asking.enrolment_closes_at, now, asking.timezone).replace("\u00a0", " ")
    for expected in (
        "1 candidature à classer.",
        "1 personne pour un minimum de 5 : maintenez, reportez ou annulez la session.",
        "1 place proposée sans réponse pour le moment, la première jusqu’au ",
        f"1 personne sans l’accord de l’employeur ; sans lui, refus à la clôture ({left}).",
        "Les courriels à 1 personne reviennent : adresse à corriger.",
    ):
        assert expected in page.replace("\u00a0", " ")
    places = [page.index(said) for said in ("pour un minimum de 5", "à classer", "sans l’accord", "proposée")]
    assert places == sorted(places)  # the most urgent first
    assert "Vous n’avez rien à faire" not in page
    week = page.partition("Les sept jours qui viennent")[2]
    assert week.count("Début") == 2
    assert "Clôture des inscriptions" in week


async def over(database: Database, days: int = 1) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE session SET version = version + 1, state = state || jsonb_build_object("
                "'enrolment_closes_at', CAST(:end AS timestamptz) - interval '2 days', "
                "'starts_at', CAST(:end AS timestamptz) - interval '1 day', "
                "'ends_at', CAST(:end AS timestamptz))"
            ),
            {"end": soon(days=-days)},
        )


async def test_attendance_is_asked_for_until_every_seance_is_known(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    session = open_now(starts_at=datetime.now(UTC) - timedelta(hours=1), modules=MODULES)
    agent = an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    enrolment_id = (await front.of(session, agent)).enrolment_id
    asked = "Des présences ne sont pas encore enregistrées."
    for seance, is_asked in (("1", True), ("2", False)):
        path = page_of(session, f"/presence?seance={seance}")
        form = {f"avant-{enrolment_id}": "", f"p-{enrolment_id}": "attended"}
        assert (await send(organiser, path, **form)).status_code == 303
        await over(database)
        assert (asked in text_of(await organiser.get(MANAGE))) == is_asked, seance


async def test_as_many_sessions_as_fit_are_not_told_as_cut(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.enrolment.service.overview.MOST", 2)
    for number, is_cut in ((2, False), (3, True)):
        await front.publish(*(open_now() for _ in range(2 if number == 2 else 1)))
        page = text_of(await organiser.get(MANAGE))
        assert page.count("Inscriptions ouvertes") == 2
        assert ("Voici les deux cents premières" in page) == is_cut


async def test_a_mooc_that_is_over_takes_no_place_among_the_sessions(
    front: Front, organiser: OrganiserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    mooc, session = open_now(format="mooc"), open_now()
    await front.publish(mooc)
    await front.enrol(mooc, an_agent())
    await over(database, 60)
    await front.publish(session)
    monkeypatch.setattr("services.enrolment.service.overview.MOST", 1)
    page = text_of(await organiser.get(MANAGE))
    assert page.count("Inscriptions ouvertes") == 1
    assert "Voici les deux cents premières" not in page


async def test_the_first_page_shows_the_first_of_each_kind_and_leads_to_all(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("SHOWN", "PAGE"):
        monkeypatch.setattr(f"services.enrolment.pages.manage.start.{limit}", 1)
    offering = open_now(capacity=1, waiting_list="offer", venue="Quimper")
    asking = open_now(approval="employer", venue="Vannes", enrolment_closes_at=soon(days=3))
    first, second = an_agent(), an_agent()
    await front.publish(offering, asking)
    await front.enrol(asking, first)
    await front.enrol(offering, first, second)
    await front.withdraw(offering, first)
    page = await organiser.get(MANAGE)
    assert page.text.count('class="session ') == 1
    assert f'href="{MANAGE}/a-faire">Voir les 2 tâches' in page.text
    assert f'href="{MANAGE}/semaine">Voir les' in page.text
    assert "Toutes mes sessions" in page.text
    tasks = await organiser.get(f"{MANAGE}/a-faire")
    assert "sans l’accord" in text_of(tasks)
    assert "place proposée" not in text_of(tasks).replace("\u00a0", " ")
    next_page = await organiser.get(f"{MANAGE}/a-faire?apres=1")
    (back,) = re.findall(r'rel="prev" href="([^"]+)"', next_page.text)
    assert text_of(await organiser.get(back)) == text_of(tasks)
    rest = text_of(next_page).replace("\u00a0", " ")
    assert "1 place proposée" in rest
    assert "Début de la liste" in rest
    offers = text_of(await organiser.get(f"{MANAGE}/a-faire?quoi=offers_out")).replace("\u00a0", " ")
    assert "1 place proposée" in offers
    assert "Tâches suivantes" not in offers
    for nothing in ("quoi=x", "apres=9999"):
        assert "Vous n’avez rien à faire" in text_of(await organiser.get(f"{MANAGE}/a-faire?{nothing}"))
    week = text_of(await organiser.get(f"{MANAGE}/semaine"))
    assert "Dates suivantes" in week
    assert "Début de la liste Dates précédentes" in text_of(await organiser.get(f"{MANAGE}/semaine?apres=1"))


def soon(**delta: int) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)


async def test_attendance_is_asked_for_once_a_session_is_over(
    front: Front, organiser: OrganiserClient, database: Database
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, an_agent())
    for days, is_asked, is_shown in ((1, True, True), (60, True, False), (120, False, False)):
        await over(database, days)
        page = text_of(await organiser.get(MANAGE))
        assert ("Des présences ne sont pas encore enregistrées." in page) == is_asked, days
        assert ("Terminées depuis peu" in page) == is_shown, days


async def test_the_numbers_of_a_session_are_a_part_of_their_own_that_is_not_sent_twice(
    front: Front, organiser: OrganiserClient
) -> None:
    session = open_now(capacity=2, waiting_list="automatic")
    await front.publish(session)
    path = f"{MANAGE}/sessions/{session.session_id}/places"
    before = await organiser.get(path)
    assert re.search(r"\b0\sinscription sur 2\splaces", before.text)
    assert "private" in before.headers["cache-control"]
    known = {"if-none-match": before.headers["etag"]}
    assert (await organiser.get(path, headers=known)).status_code == 304
    await front.enrol(session, an_agent())
    after = await organiser.get(path, headers=known)
    assert re.search(r"\b1\sinscription sur 2\splaces", after.text)
    assert (await organiser.get(f"{MANAGE}/sessions/{uuid4()}/places")).status_code == 404


@pytest.mark.parametrize(
    ("timezone", "said"),
    [
        ("America/Martinique", "Heures de cette page : heure de la Martinique."),
        ("Indian/Reunion", "Heures de cette page : heure de La Réunion."),
        ("Europe/Paris", None),
    ],
)
async def test_each_page_of_a_session_says_whose_clocks_it_goes_by(
    front: Front, organiser: OrganiserClient, timezone: str, said: str | None
) -> None:
    session = open_now(timezone=timezone)
    await front.publish(session)
    for page in ("", "/attente", "/presence", "/pointage", "/messages", "/historique"):
        text_there = text_of(await organiser.get(page_of(session, page))).replace("\u00a0", " ")
        assert ("Heures de cette page" in text_there) == (said is not None)
        assert said is None or said in text_there
