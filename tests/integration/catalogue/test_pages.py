"""The public pages: what a visitor finds, and where it leads."""

import dataclasses
import gzip
import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from services.catalogue import api, pages
from services.catalogue.settings import Settings
from shared.auth import Tokens
from shared.database import Database
from shared.retention_settings import kept_days
from shared.web import french
from tests.conftest import Ask, opened, settings_of
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import (
    CONTACT,
    MOOC,
    NEWS_URL,
    PUBLIC_URL,
    PUBLISHER,
    RENNES,
    in_days,
    published,
    visiting,
)
from tests.integration.catalogue.public_pages import PAGES, LinkedPage, read
from tests.support.guards import a_guard


async def test_the_home_shows_the_six_formats_and_leads_to_each(visitor: HttpBrowser) -> None:
    home = await read(visitor, "/")
    for heading in (
        "Mooc", "Webinaires", "Rendez-vous locaux", "Formations sur mesure", "Offre de l’Inet", "Ressources",
    ):  # fmt: skip
        assert heading in home.text
    offers = {link for link in home.links if link.startswith("/offres/")}
    assert len(offers) == 7
    assert NEWS_URL in home.links, "where anybody subscribes to news by mail"
    assert {"/sessions?format=webinar", "/sessions?format=inet", "/ressources?type=replay"} <= set(home.links)


@pytest.mark.parametrize(("timezone", "hour"), [("America/Martinique", 1), ("Indian/Reunion", 22)])
async def test_the_next_day_of_a_format_is_that_of_the_place(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask, timezone: str, hour: int
) -> None:
    start = in_days(40).replace(hour=hour, minute=0, second=0)
    dates = {"starts_at": start.isoformat(), "ends_at": (start + timedelta(hours=1)).isoformat()}
    await published(ask, an_empty_offer, timezone=timezone, **dates)
    home = await read(visit, "/")
    assert french.local_day(start, timezone) != french.local_day(start, "Europe/Paris")
    assert f"Prochaine : {french.local_day(start, timezone)}" in home.text


@pytest.mark.parametrize("path", PAGES)
async def test_every_link_within_the_site_leads_somewhere(visitor: HttpBrowser, path: str) -> None:
    page = await read(visitor, path)
    inside = {link.split("#")[0] for link in page.links if link.startswith("/") and link not in ELSEWHERE}
    assert inside
    for link in inside:
        assert (await visitor.get(link)).status_code == 200, link


ELSEWHERE = {"/docs", "/gestion"}


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_html_one_style_sheet_and_one_script_below_60_kilobytes(
    visitor: HttpBrowser, path: str
) -> None:
    answer = await visitor.get(path)
    files = {link for link in LinkedPage(answer.text).links if link.startswith("/static/")}
    needed = {link for link in files if not link.endswith(".woff2") and "icone.svg" not in link}
    assert len(needed) == 2
    sizes = [len(gzip.compress((await visitor.get(link)).content)) for link in needed]
    assert sum(sizes) + len(gzip.compress(answer.content)) < 60_000


@pytest.mark.parametrize("path", [*PAGES, "/rien", "/sessions/abc"])
async def test_every_page_forbids_what_is_written_into_it_and_what_comes_from_elsewhere(
    visitor: HttpBrowser, path: str
) -> None:
    answer = await visitor.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'self';" in policy
    written_in = re.findall(r"<script(?![^>]* src=)[^>]*>", answer.text)
    assert set(written_in) <= {'<script type="application/ld+json">'}
    assert "<style" not in answer.text
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert " style=" not in answer.text
    assert re.search(r"\son[a-z]+=", answer.text) is None


async def test_what_the_announcement_does_not_say_is_marked_as_an_example(visitor: HttpBrowser) -> None:
    mooc, rennes = await read(visitor, f"/sessions/{MOOC}"), await read(visitor, f"/sessions/{RENNES}")
    assert "figure dans le communiqué du CNFPT du 26 février 2025" in mooc.text
    # The offer is loaded with its dates moved: then the announcement states none of them.
    assert (
        "Ne viennent pas du communiqué : les dates de la session, l’ouverture des inscriptions, la "
        "clôture des inscriptions, les dates des séances, l’organisateur et l’adresse de connexion."
    ) in mooc.text
    assert "Exemple." not in mooc.text
    assert "Exemple." in rennes.text


async def test_the_accessibility_statement_gives_the_address_to_write_to(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/accessibilite")
    assert f"mailto:{CONTACT}" in page.links
    assert f"écrivez à {CONTACT}" in page.text


async def test_the_legal_notice_says_who_publishes_and_who_hosts(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/mentions-legales")
    for field in dataclasses.astuple(PUBLISHER)[:-1]:
        assert field in page.text
    assert "non indiqué" not in page.text
    assert f"mailto:{CONTACT}" in page.links


async def test_the_notice_on_personal_data_says_who_answers_for_it_and_whom_to_ask(
    visitor: HttpBrowser,
) -> None:
    page = await read(visitor, "/donnees-personnelles")
    assert f"Le responsable du traitement est {PUBLISHER.name}" in page.text
    assert f"mailto:{PUBLISHER.data_protection}" in page.links
    assert "365 jours après la dernière réponse" in page.text
    assert "Si vous avez aussi confirmé un abonnement sur notre page" in page.text


async def test_the_notice_says_where_data_comes_from_and_where_one_sees_it(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/donnees-personnelles")
    assert "de la délégation qui inscrit elle-même une personne" in page.text
    assert "ou la délégation qui organise la session, peut aussi rectifier" in page.text
    [main] = re.findall("(?s)<main.*</main>", (await visitor.get("/donnees-personnelles")).text)
    assert 'mes-inscriptions">s’il est perdu' in main
    assert "ce qui est connu sous un même identifiant et une même adresse" in page.text


async def test_the_notice_says_that_a_portal_ends_what_is_under_its_own_identifier(
    visitor: HttpBrowser,
) -> None:
    page = await read(visitor, "/donnees-personnelles")
    assert "Un portail ne met fin qu’à ce qui est sous l’identifiant qu’il vous a donné." in page.text
    assert "nous cherchons tous vos identifiants, et mettons fin à tout" in page.text


async def test_the_notice_promises_of_a_limitation_what_is_done_by_hand(visitor: HttpBrowser) -> None:
    page = await read(visitor, "/donnees-personnelles")
    assert "à en faire limiter l’usage" in page.text
    assert "Le logiciel ne sait pas garder des données sans s’en servir" in page.text
    assert "ce qui met fin à vos inscriptions en cours" in page.text


async def test_the_notice_says_how_long_this_installation_keeps_what_it_keeps(
    database: Database, tokens_file: Path
) -> None:
    environment = settings_of("catalogue", "postgresql://a:b@localhost/c", "localhost:1")
    chosen = {
        "notifier_mails_kept_days": 1,
        "enrolment_attendance_kept_days": 700,
        "read_log_kept_days": 200,
    }
    given = {name.lower(): value for name, value in environment.items()}
    settings = Settings.model_validate(given | chosen)
    async with visiting(database, tokens_file, kept_days=kept_days(settings)) as browser:
        notice = await read(browser, "/donnees-personnelles")
    assert "1 jour après l’envoi du courriel" in notice.text
    assert "700 jours après la fin de la session" in notice.text
    assert "200 jours après la consultation" in notice.text
    assert "1 jour après la demande" in notice.text
    assert "90 jours après l’envoi du courriel" not in notice.text
    assert "Les durées sont celles de cette installation." in notice.text


async def test_what_an_installation_does_not_say_of_itself_is_not_passed_over(
    database: Database, tokens_file: Path
) -> None:
    async with visiting(database, tokens_file, publisher=pages.Publisher()) as browser:
        legal = await read(browser, "/mentions-legales")
        notice = await read(browser, "/donnees-personnelles")
    assert legal.text.count("non indiqué par cette installation") == 7
    assert "cette installation n’en indique pas le nom" in notice.text
    assert f"mailto:{CONTACT}" in notice.links


async def test_every_page_leads_to_what_the_law_requires(visitor: HttpBrowser) -> None:
    for path in ("/", "/sessions", "/gestion", "/rien"):
        links = LinkedPage((await visitor.get(path, follow_redirects=True)).text).links
        assert {"/accessibilite", "/mentions-legales", "/donnees-personnelles"} <= set(links), path


async def test_the_link_to_a_meeting_is_for_those_who_enrolled(visitor: HttpBrowser) -> None:
    page = await visitor.get(f"/sessions/{MOOC}")
    assert "mooc.example.org" not in page.text
    assert "est envoyé aux personnes inscrites" in LinkedPage(page.text).text


async def test_enrolling_leads_to_the_portal_of_that_session(visitor: HttpBrowser) -> None:
    page = await read(visitor, f"/sessions/{RENNES}")
    assert f"https://portail.example.org/inscription?session={RENNES}" in page.links


async def test_a_page_that_is_not_there_is_a_page_in_french_and_the_api_answers_as_before(
    visitor: HttpBrowser,
) -> None:
    for path in ("/rien", f"/sessions/{uuid4()}", "/sessions/abc", "/offres/rien", "/offres/É", "/static/x"):
        page = await read(visitor, path, 404)
        assert "Page introuvable" in page.text
    assert (await visitor.post("/sessions")).status_code == 405
    answer = await visitor.get("/api/v1/rien")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert (await visitor.get("/openapi.json")).status_code == 200


async def test_a_slash_too_many_leads_to_the_page_and_never_to_another_host(visitor: HttpBrowser) -> None:
    for path in ("/sessions/", "/offres/mooc-fondamentaux-ia/"):
        answer = await visitor.get(path, headers={"host": "catalogue:8001"})
        assert (answer.status_code, answer.headers["location"]) == (308, path.rstrip("/"))
    for path in ("//ailleurs.example/", "/%5Cailleurs.example/", "/@ailleurs/", "/x//y/"):
        assert (await visitor.get(f"{PUBLIC_URL}{path}")).status_code == 404


async def test_a_network_reads_pages_and_api_up_to_a_limit_that_asks_no_database(
    loaded_url: str, tokens_file: Path
) -> None:
    guard, tokens = a_guard(read="3/minute"), Tokens(tokens_file)
    async with opened(loaded_url) as database:
        web = api.build(database, tokens, guard)
        site = pages.Site(database=database, tokens=tokens, guard=guard, address=PUBLIC_URL)
        pages.mount(web, pages.build(site))

        def of(visitor: str) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app=web, client=(visitor, 1))
            return httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL)

        async with of("192.0.2.1") as first, of("192.0.2.99") as same_network, of("198.51.100.1") as other:
            for path in ("/", "/api/v1/offers", "/sessions"):
                assert (await first.get(path)).status_code == 200
            page, problem = await same_network.get("/"), await first.get("/api/v1/offers")
            assert (page.status_code, problem.status_code) == (429, 429)
            assert 0 < int(page.headers["retry-after"]) <= 60
            assert "Trop de demandes" in page.text
            assert problem.headers["content-type"] == "application/problem+json"
            assert (await other.get("/")).status_code == 200
            assert (await first.get("/static/parcours.css")).status_code == 200


async def test_who_waits_for_a_session_is_led_to_be_told_when_one_of_the_offer_opens(
    visit: HttpBrowser, ask: Ask, an_empty_offer: str
) -> None:
    later = await published(ask, an_empty_offer, enrolment_opens_at=in_days(5).isoformat())
    open_now = await published(ask, an_empty_offer, enrolment_opens_at=in_days(-1).isoformat())
    page = f"{NEWS_URL}?offre={an_empty_offer}"
    assert page in (await read(visit, f"/offres/{an_empty_offer}")).links
    assert f"{page}&delegation=bretagne" in (await read(visit, f"/sessions/{later}")).links
    assert f"{page}&delegation=bretagne" not in (await read(visit, f"/sessions/{open_now}")).links


async def test_the_home_shows_what_is_near_and_keeps_the_choice_in_the_address(visitor: HttpBrowser) -> None:
    home = await visitor.get("/?delegation=mayotte")
    assert '<option value="mayotte" selected>' in home.text
    kept = {f"/sessions{query}delegation=mayotte" for query in ("?", "?ouvertes=oui&", "?vue=carte&")}
    assert kept <= set(LinkedPage(home.text).links)
    assert '<input type="hidden" name="delegation" value="mayotte">' in home.text
    assert "set-cookie" not in home.headers
    assert "Mamoudzou" in home.text


async def test_a_session_leads_to_the_other_dates_of_its_offer_that_one_can_enrol_in(
    visit: HttpBrowser, ask: Ask, an_empty_offer: str
) -> None:
    shown = await published(
        ask, an_empty_offer, starts_at=in_days(30).isoformat(), ends_at=in_days(30.2).isoformat()
    )
    other = await published(
        ask, an_empty_offer, starts_at=in_days(40).isoformat(), ends_at=in_days(40.2).isoformat()
    )
    page = await read(visit, f"/sessions/{shown}")
    assert f"/sessions/{other}" in page.links
    assert f"/sessions/{shown}" not in page.links


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "Se former à l’intelligence artificielle"),
        ("/sessions", "Sessions"),
        (f"/sessions/{RENNES}", "IA et territoires à Rennes"),
        ("/offres/mooc-fondamentaux-ia", "Les fondamentaux"),
    ],
)
async def test_a_page_says_what_it_shows_to_who_shares_it(
    visitor: HttpBrowser, path: str, title: str
) -> None:
    page = (await visitor.get(path)).text
    assert f'<meta property="og:url" content="{PUBLIC_URL}{path}">' in page
    assert f'<meta property="og:title" content="{title}' in page
    assert re.search('<meta property="og:description" content="[^"]{20,}">', page)
    image = re.search(r'property="og:image" content="([^"]+)"', page)
    assert image is not None
    shown = await visitor.get(image[1])
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
