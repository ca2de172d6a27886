"""The relay and the mailbox of returns are reached as the settings say, never as they happen to offer."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from local.ports import free_port
from services.notifier import jobs
from services.notifier.delivery.pool import SmtpPool
from services.notifier.delivery.results import Timeouts, Verdict
from services.notifier.delivery.returns import ReturnMailbox
from services.notifier.render import Outgoing
from services.notifier.return_path import ReturnPath
from services.notifier.settings import ImapServer, SmtpServer, Tls
from tests.integration.notifier.conftest import Notifier
from tests.support.certificates import Authority
from tests.support.imap import ImapMailbox, mailbox
from tests.support.metrics import metric
from tests.support.smtp import scripted_relay
from tests.unit.notifier.reports import OUT_OF_OFFICE

MAIL = Outgoing("a@b.example", "c@d.example", b"Subject: x\r\nMessage-ID: <1@b>\r\n\r\n.dot\r\n")


async def yes() -> bool:
    return True


async def send(
    port: int, tls: Tls, *, mail: Outgoing = MAIL, username: str = "", password: str = ""
) -> Verdict:
    relay = SmtpServer("127.0.0.1", port, tls, username, password)
    pool = SmtpPool(relay, size=1, timeouts=Timeouts(connect=3, command=3, data=3, final=3))
    outcome = await pool.send(mail, yes)
    await pool.close()
    return outcome.verdict


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> ssl.SSLContext:
    return authority.server("IP:127.0.0.1")


@pytest.mark.parametrize(
    ("tls", "offers", "password", "commands"),
    [
        (Tls.STARTTLS, (), "", {"EHLO", "QUIT"}),
        (Tls.STARTTLS, ("STARTTLS",), "", {"EHLO", "STARTTLS", "QUIT"}),
        (Tls.IMPLICIT, (), "", set()),
        (Tls.NONE, (), "secret", {"EHLO", "QUIT"}),
    ],
    ids=["STARTTLS not offered", "STARTTLS refused", "no TLS there", "no authentication there"],
)
async def test_nothing_goes_in_the_clear_that_should_not(
    tls: Tls, offers: tuple[str, ...], password: str, commands: set[str]
) -> None:
    async with scripted_relay(offers=offers) as relay:
        sent = await send(relay.port, tls, username="u" if password else "", password=password)
    assert (sent, relay.taken) == (Verdict.RETRY, [])
    assert {command.split()[0] for command in relay.commands} <= commands


async def test_none_stays_plain_even_where_starttls_is_offered_and_a_line_with_a_dot_arrives_whole() -> None:
    async with scripted_relay(offers=("STARTTLS",)) as relay:
        assert await send(relay.port, Tls.NONE) is Verdict.SENT
    assert "STARTTLS" not in relay.commands
    assert relay.taken[0].content == MAIL.content


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
    login = "parcours" if password else ""
    assert await send(submission.port, Tls.STARTTLS, username=login, password=password) is verdict
    assert submission.taken == ([MAIL.content] if verdict is Verdict.SENT else [])


@pytest.mark.parametrize("known", [True, False])
async def test_implicit_tls_goes_to_a_relay_whose_certificate_is_known(
    certificate: ssl.SSLContext, authority: Authority, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with scripted_relay(tls=certificate) as relay:
        assert await send(relay.port, Tls.IMPLICIT) is (Verdict.SENT if known else Verdict.RETRY)
    assert bool(relay.commands) is known


@pytest.mark.parametrize(
    ("offers", "verdict", "envelopes"),
    [
        (("SMTPUTF8",), Verdict.SENT, ["MAIL FROM:<a@b.example> SMTPUTF8"]),
        ((), Verdict.FAILED, []),
    ],
)
async def test_an_address_with_accents_goes_only_to_a_relay_that_offers_smtputf8(
    offers: tuple[str, ...], verdict: Verdict, envelopes: list[str]
) -> None:
    async with scripted_relay(offers=offers) as relay:
        mail = Outgoing("a@b.example", "zoé@d.example", MAIL.content)
        assert await send(relay.port, Tls.NONE, mail=mail) is verdict
        assert await send(relay.port, Tls.NONE) is Verdict.SENT
    sent = [command for command in relay.commands if command.startswith("MAIL")]
    assert sent == [*envelopes, "MAIL FROM:<a@b.example>"]


RETURNS = ReturnPath("retours@cnfpt.example", ["a key"])
Opened = Callable[[ssl.SSLContext], AbstractAsyncContextManager[ImapMailbox]]
WAYS = [
    pytest.param(Tls.IMPLICIT, lambda server: mailbox(OUT_OF_OFFICE, tls=server), id="implicit"),
    pytest.param(Tls.STARTTLS, lambda server: mailbox(OUT_OF_OFFICE, starttls=server), id="starttls"),
]


async def read_returns(notifier: Notifier, box: ImapMailbox, tls: Tls) -> None:
    returns = ReturnMailbox(ImapServer("127.0.0.1", box.port, tls, "user", "secret", "INBOX"))
    await jobs.read_returns(notifier.database, returns, RETURNS)


@pytest.mark.parametrize(("tls", "opened"), WAYS)
@pytest.mark.parametrize(
    ("trusted", "name", "why"),
    [
        (True, "IP:127.0.0.1", None),
        (True, "DNS:mail.example", "IP address mismatch"),
        (False, "IP:127.0.0.1", "unable to get local issuer"),
    ],
)
async def test_the_password_goes_under_tls_to_a_mailbox_whose_certificate_is_known(
    *,
    notifier: Notifier,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tls: Tls,
    opened: Opened,
    trusted: bool,
    name: str,
    why: str | None,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with opened(authority.server(name)) as box:
        await read_returns(notifier, box, tls)
    assert {command for command, secure in box.commands if not secure} <= {"CAPABILITY", "STARTTLS"}
    if why is None:
        assert box.seen == {1}
        assert metric("parcours_certificate_end_timestamp_seconds", certificate="imap") > 0
    else:
        assert why in caplog.text
        assert (box.seen, "LOGIN" in {command for command, _ in box.commands}) == (set(), False)


async def test_a_mailbox_that_offers_no_starttls_gets_no_password(notifier: Notifier) -> None:
    async with mailbox(OUT_OF_OFFICE) as box:
        await read_returns(notifier, box, Tls.STARTTLS)
    assert "LOGIN" not in {command for command, _ in box.commands}
