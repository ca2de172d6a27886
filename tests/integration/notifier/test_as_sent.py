"""A letter is shown as it was sent, with the relay's answers; and the address that it should have gone to."""

import html
import json
import logging
import re

import httpx
import pytest

from services.notifier.service import corrections
from shared import security_log
from shared.events.enrolment import EnrolmentWithdrawn
from shared.events.vocabulary import AgentKey
from shared.rates import Rate
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import ADDRESS, ZOE, bespoke_answered, changed, corrected, enrolled
from tests.integration.notifier.test_mail_log import LOG, PURPOSE, browser, log_in, path_of, sent, tokens
from tests.integration.notifier.test_people import PEOPLE
from tests.support.smtp import Drop, Reply
from tests.unit.notifier.builders import a_decision, an_agent

__all__ = ["browser", "sent", "tokens"]
CORRECTION = f"{PEOPLE}/correction"
WRITTEN_AGAIN = f"{PEOPLE}/ecrire-de-nouveau"
RIGHT = {"nouvelle": "zoe@ville.example", "encore": "zoe@ville.example"}
ASKED = "SELECT event_id, source, data FROM outbox WHERE topic = 'portal.agents'"
SUPPRESSED = "SELECT 1 FROM suppression"


async def form_of(browser: httpx.AsyncClient) -> dict[str, str]:
    """What the page of Zoé sends."""
    key = await log_in(browser)
    agent = {"agent": ZOE.agent_id, "emetteur": ZOE.issuer, "avant": ADDRESS}
    return {"cle": key, "motif": PURPOSE} | agent


def logged(caplog: pytest.LogCaptureFixture) -> str:
    [line] = [record.getMessage() for record in caplog.records if record.name == security_log.LOGGER]
    return line


async def test_a_letter_is_shown_as_it_was_sent_whatever_has_changed_since(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    path = await path_of(sent)
    await sent.hear(changed(venue="Palais des congrès, Saint-Brieuc", title="IA et métiers"))
    await sent.hear(a_decision(EnrolmentWithdrawn, version=2))
    await log_in(browser)
    page, letter = [(await browser.get(each)).text for each in (path, f"{path}/lettre")]
    (subject,) = re.findall("<dt>Objet</dt><dd>([^<]*)</dd>", page)
    assert html.unescape(subject).replace("\u00a0", " ") == str(sent.relay.taken[0].message["Subject"])
    for text in (page, letter):
        assert ("Couvent des Jacobins" in text, "Saint-Brieuc" in text) == (True, False)
    await sent.change("UPDATE mail_attempt SET written_by = '0.9.0-12345678'")
    assert "0.9.0-12345678" in (await browser.get(path)).text, "the words are those of other templates"


async def test_a_letter_whose_words_cannot_be_read_any_more_is_shown_as_it_would_be_now(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    path = await path_of(sent)
    await sent.change('UPDATE mail_attempt SET written_from = \'{"session": {"of_an_older_version": 1}}\'')
    await log_in(browser)
    for page in (path, f"{path}/lettre"):
        assert (await browser.get(page)).status_code == 200
    assert f"What mail {path.removeprefix(f'{LOG}/')} said cannot be read any more" in caplog.text


async def test_every_answer_of_the_relay_is_kept_and_the_letter_once_the_relay_may_have_it(
    queued: Notifier, browser: httpx.AsyncClient
) -> None:
    queued.relay.script("RCPT", Reply("451 4.7.1 come back later"))
    queued.relay.script("DOT", Drop())
    for _ in range(2):
        await queued.change("UPDATE mail SET due_at = now()")
        await queued.deliver()
    attempts = await queued.query(
        "SELECT state, code, written_from IS NOT NULL FROM mail_attempt ORDER BY number"
    )
    assert attempts == [("retry", 451, False), ("ambiguous", None, True)]
    await log_in(browser)
    page = (await browser.get(await path_of(queued))).text
    assert '451 <span lang="en">4.7.1 come back later</span>' in page


async def test_support_has_an_address_corrected(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    form = await form_of(browser)
    with caplog.at_level(logging.INFO, logger=security_log.LOGGER):
        assert (await browser.post(CORRECTION, data=form | RIGHT)).status_code == 200
    (event,) = await sent.query(ASKED)
    data = json.loads(event.data)
    assert (event.source, data["email"]) == ("/services/notifier", RIGHT["nouvelle"])
    assert AgentKey(data["issuer"], data["agent_id"]) == ZOE
    (line,) = await sent.query("SELECT actor, agent_id, about FROM read_log WHERE kind = 'correction'")
    assert tuple(line) == ("support-name", ZOE.agent_id, str(event.event_id))
    assert logged(caplog).startswith("correction ok who=support:")
    assert "zoe@ville" not in logged(caplog)


@pytest.mark.parametrize(
    "typed",
    [
        {"encore": "zoe@ville.exampl"},
        {"nouvelle": "zoe", "encore": "zoe"},
        {"nouvelle": ADDRESS, "encore": ADDRESS},
        {"emetteur": ""},
        {"agent": "IEL-UNKNOWN"},
    ],
    ids=["typed once", "no address", "the same", "of no issuer", "of nobody"],
)
async def test_an_address_is_not_corrected(
    sent: Notifier, browser: httpx.AsyncClient, typed: dict[str, str]
) -> None:
    form = await form_of(browser) | RIGHT | typed
    assert (await browser.post(CORRECTION, data=form)).status_code == 422
    assert await sent.query(ASKED) == []


async def test_an_address_that_changed_since_the_form_was_shown_is_not_written_over_by_mistake(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    form = await form_of(browser) | RIGHT
    await sent.hear(corrected("zoe.elle-meme@ville.example"))

    async def post(**typed: str) -> tuple[int, list[str]]:
        answer = await browser.post(CORRECTION, data=form | typed)
        return answer.status_code, re.findall(r'name="avant" value="([^"]+)"', answer.text)

    assert await post(encore="") == (422, [ADDRESS]), "a mistake is no look at the new address"
    assert await post() == (409, ["zoe.elle-meme@ville.example"])
    assert await sent.query(ASKED) == []
    assert (await post(avant="zoe.elle-meme@ville.example"))[0] == 200


async def test_how_many_addresses_one_person_corrects_has_a_limit(
    sent: Notifier, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "CORRECTIONS", Rate(1, 3600))
    form = await form_of(browser) | RIGHT
    statuses = [(await browser.post(CORRECTION, data=form)).status_code for _ in range(2)]
    assert (statuses, len(await sent.query(ASKED))) == ([200, 429], 1)


async def test_support_has_an_address_written_to_again(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    path = await path_of(sent)
    sent.relay.script("RCPT", Reply("550 5.1.1 unknown"))
    await sent.hear(enrolled(1, agent=an_agent()))
    await sent.deliver()
    form = await form_of(browser)
    assert 'value="renvoyer"' not in (await browser.get(path)).text

    stale = await browser.post(WRITTEN_AGAIN, data=form | {"avant": "zoe@ville.example"})
    forged = await browser.post(WRITTEN_AGAIN, data=form | {"cle": "another"})
    assert (stale.status_code, forged.status_code, len(await sent.query(SUPPRESSED))) == (409, 403, 1)
    with caplog.at_level(logging.INFO, logger=security_log.LOGGER):
        assert (await browser.post(WRITTEN_AGAIN, data=form)).status_code == 200
    assert await sent.query(SUPPRESSED) == []
    (line,) = await sent.query("SELECT actor, agent_id, purpose FROM read_log WHERE kind = 'written_again'")
    assert tuple(line) == ("support-name", ZOE.agent_id, PURPOSE)
    assert logged(caplog).startswith("correction ok who=support:")
    assert 'value="renvoyer"' in (await browser.get(path)).text


async def test_support_has_an_officers_address_written_to_again_from_a_mail(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    notifier.relay.script("RCPT", Reply("550 5.1.1 unknown"))
    await notifier.hear(bespoke_answered())
    await notifier.deliver()
    mail, path, key = await notifier.row(), await path_of(notifier), await log_in(browser)
    await browser.post(LOG, data={"cle": key, "motif": PURPOSE})
    form = {"cle": key, "decision": "ecrire"}
    stale = await browser.post(path, data=form | {"avant": "another@ville.example"})
    assert (stale.status_code, len(await notifier.query(SUPPRESSED))) == (409, 1)
    assert (await browser.post(path, data=form | {"avant": mail.address})).status_code == 200
    assert await notifier.query(SUPPRESSED) == []
    (line,) = await notifier.query("SELECT actor, agent_id FROM read_log WHERE kind = 'written_again'")
    assert tuple(line) == ("support-name", mail.recipient)
