"""The connection is protected as the settings say, never as the relay happens to offer."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from local.ports import free_port
from services.notifier.delivery.outcomes import Timeouts, Verdict
from services.notifier.delivery.pool import SmtpPool
from services.notifier.render import Outgoing
from services.notifier.settings import SmtpServer, Tls
from tests.support.certificates import Authority
from tests.support.smtp import scripted_relay

MAIL = Outgoing("a@b.example", "c@d.example", b"Subject: x\r\nMessage-ID: <1@b>\r\n\r\n.dot\r\n")


async def yes() -> bool:
    return True


async def send(port: int, tls: Tls, **settings: str) -> Verdict:
    relay = SmtpServer("127.0.0.1", port, tls, **settings)
    pool = SmtpPool(relay, size=1, timeouts=Timeouts(connect=3, command=3, data=3, final=3))
    outcome = await pool.send(MAIL, yes)
    await pool.close()
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


@dataclass
class Submission:
    """A relay that takes mails after STARTTLS and AUTH alone."""

    port: int
    taken: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 aiosmtpd's name
        assert session.ssl is not None
        assert session.authenticated
        assert isinstance(envelope.content, bytes)
        self.taken.append(envelope.content)
        return "250 taken"


def knows(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
    return AuthResult(success=data == LoginPassword(b"parcours", b"right"))


@pytest.fixture
def submission(certificate: ssl.SSLContext) -> Iterator[Submission]:
    taker = Submission(free_port())
    controller = Controller(
        taker,
        hostname="127.0.0.1",
        port=taker.port,
        tls_context=certificate,
        require_starttls=True,
        authenticator=knows,
        auth_required=True,
    )
    controller.start()
    yield taker
    controller.stop()


@pytest.mark.parametrize(
    ("known", "password", "verdict"),
    [
        (True, "right", Verdict.SENT),
        (True, "wrong", Verdict.RETRY),
        (True, "", Verdict.RETRY),
        (False, "right", Verdict.RETRY),
    ],
)
async def test_starttls_and_authentication_go_to_a_relay_whose_certificate_is_known(
    *,
    submission: Submission,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
    password: str,
    verdict: Verdict,
) -> None:
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    login = {"username": "parcours", "password": password} if password else {}
    assert await send(submission.port, Tls.STARTTLS, **login) is verdict
    assert submission.taken == ([MAIL.content] if verdict is Verdict.SENT else [])


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
        pool = SmtpPool(SmtpServer("127.0.0.1", relay.port), size=1)
        assert (await pool.send(mail, yes)).verdict is verdict
        assert (await pool.send(MAIL, yes)).verdict is Verdict.SENT
        await pool.close()
    envelopes = [command for command in relay.commands if command.startswith("MAIL")]
    plain = "MAIL FROM:<a@b.example>"
    assert envelopes == ([f"{plain} SMTPUTF8", plain] if offers else [plain])


async def test_a_line_that_begins_with_a_dot_arrives_whole() -> None:
    async with scripted_relay() as relay:
        await send(relay.port, Tls.NONE)
    assert relay.taken[0].content == MAIL.content
