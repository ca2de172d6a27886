"""The mailbox that mails come back to is read under TLS, from a server that can be trusted, or not at all."""

import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from services.notifier import jobs
from services.notifier.delivery.returns import ReturnMailbox
from services.notifier.letters.bounces import ReturnPath
from services.notifier.settings import ImapServer, Tls
from tests.integration.notifier.conftest import Notifier
from tests.support.certificates import Authority
from tests.support.imap import ImapMailbox, mailbox
from tests.support.metrics import metric
from tests.unit.notifier.reports import OUT_OF_OFFICE

PATH = ReturnPath("retours@cnfpt.example", ["a key"])
Opened = Callable[[ssl.SSLContext], AbstractAsyncContextManager[ImapMailbox]]
WAYS = [
    pytest.param(Tls.IMPLICIT, lambda server: mailbox(OUT_OF_OFFICE, tls=server), id="implicit"),
    pytest.param(Tls.STARTTLS, lambda server: mailbox(OUT_OF_OFFICE, starttls=server), id="starttls"),
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


async def read(notifier: Notifier, box: ImapMailbox, tls: Tls) -> None:
    mailbox = ReturnMailbox(ImapServer("127.0.0.1", box.port, tls, "user", "secret", "INBOX"))
    await jobs.read_returns(notifier.database, mailbox, PATH)


@pytest.mark.parametrize(("tls", "opened"), WAYS)
async def test_a_mailbox_whose_certificate_is_known_is_read_under_tls(
    *,
    notifier: Notifier,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tls: Tls,
    opened: Opened,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with opened(authority.server("IP:127.0.0.1")) as box:
        await read(notifier, box, tls)
    assert box.seen == {1}
    assert metric("parcours_certificate_end_timestamp_seconds", certificate="imap") > 0
    in_the_clear = {command for command, secure in box.commands if not secure}
    assert in_the_clear <= {"CAPABILITY", "STARTTLS"}


@pytest.mark.parametrize(("tls", "opened"), WAYS)
@pytest.mark.parametrize(
    ("trusted", "name", "why"),
    [
        (True, "DNS:mail.example", "IP address mismatch"),
        (False, "IP:127.0.0.1", "unable to get local issuer"),
    ],
)
async def test_a_mailbox_that_nobody_vouches_for_gets_no_password(
    *,
    notifier: Notifier,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tls: Tls,
    opened: Opened,
    trusted: bool,
    name: str,
    why: str,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with opened(authority.server(name)) as box:
        await read(notifier, box, tls)
    assert "cannot be trusted" in caplog.text
    assert why in caplog.text
    assert box.seen == set()
    assert "LOGIN" not in {command for command, _ in box.commands}


async def test_a_mailbox_that_offers_no_starttls_gets_no_password(
    notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    async with mailbox(OUT_OF_OFFICE) as box:
        await read(notifier, box, Tls.STARTTLS)
    assert "cannot be read" in caplog.text
    assert "LOGIN" not in {command for command, _ in box.commands}
