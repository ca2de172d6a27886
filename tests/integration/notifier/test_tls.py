"""The connection is protected as the settings say, never as the relay happens to offer."""

import ssl

import pytest

from services.notifier.mailer import Mailer, Patience, Verdict
from services.notifier.render import Outgoing
from services.notifier.settings import Relay, Tls
from tests.support.certificates import Authority
from tests.support.smtp import scripted_relay

MAIL = Outgoing("a@b.example", "c@d.example", b"Subject: x\r\nMessage-ID: <1@b>\r\n\r\n.dot\r\n")


async def yes() -> bool:
    return True


async def send(port: int, tls: Tls, **settings: str) -> Verdict:
    relay = Relay("127.0.0.1", port, tls, **settings)
    mailer = Mailer(relay, size=1, patience=Patience(connect=3, command=3, data=3, final=3))
    outcome = await mailer.send(MAIL, yes)
    await mailer.close()
    return outcome.verdict


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> ssl.SSLContext:
    return authority.server("IP:127.0.0.1")


async def test_none_stays_plain_even_where_starttls_is_offered() -> None:
    async with scripted_relay(offers=("STARTTLS",)) as relay:
        assert await send(relay.port, Tls.NONE) is Verdict.SENT
    assert "STARTTLS" not in relay.commands


async def test_starttls_sends_nothing_in_the_clear_where_it_is_not_offered() -> None:
    async with scripted_relay() as relay:
        assert await send(relay.port, Tls.STARTTLS) is Verdict.RETRY
    assert relay.taken == []
    assert not any(command.startswith("MAIL") for command in relay.commands)


async def test_a_relay_that_says_no_to_starttls_gets_nothing() -> None:
    async with scripted_relay(offers=("STARTTLS",)) as relay:
        assert await send(relay.port, Tls.STARTTLS) is Verdict.RETRY
    assert "STARTTLS" in relay.commands
    assert relay.taken == []


async def test_a_certificate_that_nobody_vouched_for_is_refused(certificate: ssl.SSLContext) -> None:
    async with scripted_relay(tls=certificate) as relay:
        assert await send(relay.port, Tls.IMPLICIT) is Verdict.RETRY
    assert relay.commands == []


async def test_implicit_tls_goes_to_a_relay_whose_certificate_is_known(
    certificate: ssl.SSLContext, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with scripted_relay(tls=certificate) as relay:
        assert await send(relay.port, Tls.IMPLICIT) is Verdict.SENT


async def test_implicit_tls_does_not_speak_to_a_relay_without() -> None:
    async with scripted_relay() as relay:
        assert await send(relay.port, Tls.IMPLICIT) is Verdict.RETRY
    assert relay.taken == []


async def test_a_password_never_goes_to_a_relay_that_offers_no_authentication() -> None:
    async with scripted_relay() as relay:
        assert await send(relay.port, Tls.NONE, username="u", password="secret") is Verdict.RETRY
    assert not any("secret" in command for command in relay.commands)


@pytest.mark.parametrize(("offers", "verdict"), [(("SMTPUTF8",), Verdict.SENT), ((), Verdict.FAILED)])
async def test_an_address_with_accents_goes_only_to_a_relay_that_offers_smtputf8(
    offers: tuple[str, ...], verdict: Verdict
) -> None:
    mail = Outgoing("a@b.example", "zoé@d.example", MAIL.content)
    async with scripted_relay(offers=offers) as relay:
        mailer = Mailer(Relay("127.0.0.1", relay.port), size=1)
        assert (await mailer.send(mail, yes)).verdict is verdict
        assert (await mailer.send(MAIL, yes)).verdict is Verdict.SENT
        await mailer.close()
    envelopes = [command for command in relay.commands if command.startswith("MAIL")]
    plain = "MAIL FROM:<a@b.example>"
    assert envelopes == ([f"{plain} SMTPUTF8", plain] if offers else [plain])


async def test_a_line_that_begins_with_a_dot_arrives_whole() -> None:
    async with scripted_relay() as relay:
        await send(relay.port, Tls.NONE)
    assert relay.taken[0].content == MAIL.content
