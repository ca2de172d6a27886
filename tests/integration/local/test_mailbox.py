"""Promises of the mailbox: every mail is kept once, found again, and harmless on the page."""

import asyncio
import re
import smtplib
import stat
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pytest

from local.mailbox.reception import MAX_MAIL_BYTES
from local.mailbox.server import MailboxServer

HOSTILE = (
    '<html><head><meta http-equiv="refresh" content="0;url=http://127.0.0.1:1/x"></head><body>'
    "<script>parent.document.title = 'owned'</script><img src='http://127.0.0.1:1/pixel' onerror='alert(1)'>"
    "<form action='http://127.0.0.1:1/'><button>Envoyer</button></form><p>Bonjour Zoé</p></body></html>"
)


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailboxServer]:
    with MailboxServer(tmp_path_factory.mktemp("mails") / "mailbox").start() as server:
        yield server


def a_mail(
    subject: str = "Inscription confirmée", to: str = "Zoé Durand <zoe.durand@ville-exemple.fr>"
) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "CNFPT <ne-pas-repondre@cnfpt.example>"
    mail["To"] = to
    mail["Subject"] = subject
    mail.set_content("Bonjour Zoé Durand,\n\nVotre inscription est confirmée.\n.\nUne ligne après le point.")
    return mail


def send(mailbox: MailboxServer, mail: EmailMessage) -> str:
    """Send a mail and return the name of its file."""
    before = {path.name for path in mailbox.mails()}
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port) as client:
        client.send_message(mail)
    [name] = {path.name for path in mailbox.mails()} - before
    return name


def page(mailbox: MailboxServer, path: str, **query: str) -> httpx.Response:
    return httpx.get(mailbox.url + path, params=query, trust_env=False)


async def test_mails_over_eight_connections_are_all_kept_once_and_listed_after_a_restart(
    tmp_path: Path,
) -> None:
    content = (
        b"From: <a@b.fr>\r\nTo: <agent-%d@ville.fr>\r\nSubject: Convocation %d\r\n\r\nBonjour.\r\n..\r\n"
    )

    async def connection(server: MailboxServer, numbers: range) -> None:
        async with aiosmtplib.SMTP(
            hostname=server.smtp_host, port=server.smtp_port, start_tls=False, use_tls=False
        ) as client:
            for number in numbers:
                await client.sendmail("a@b.fr", [f"agent-{number}@ville.fr"], content % (number, number))

    with MailboxServer(tmp_path / "mailbox").start() as server:
        await asyncio.gather(*(connection(server, range(first, 120, 8)) for first in range(8)))
        found = {re.findall(rb"Convocation (\d+)", file.read_bytes())[0] for file in server.mails()}
        assert len(server.mails()) == len(found) == 120
        assert list(server.directory.glob(".*")) == [], "no half-written mail"
        server.restart()
        listed = page(server, "/", q="convocation", page="3")
        assert "Page 3 sur 3" in listed.text
        assert "120 courriels" in listed.text


def test_a_mail_is_kept_byte_for_byte_below_its_envelope(mailbox: MailboxServer) -> None:
    raw = b"From: a@b.fr\r\nTo: c@d.fr\r\nSubject: points\r\n\r\n.\r\n..deux\r\n\xe9 en latin-1\r\n"
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port) as client:
        client.sendmail("a@b.fr", ["c@d.fr", "e@f.fr"], raw, mail_options=["BODY=8BITMIME"])
    kept = mailbox.mails()[-1].read_bytes()
    assert kept == b"Return-Path: <a@b.fr>\r\nDelivered-To: c@d.fr\r\nDelivered-To: e@f.fr\r\n" + raw
    assert page(mailbox, f"/mails/{mailbox.mails()[-1].name}/raw").content == kept


def test_empty_mails_and_international_addresses_are_taken_and_only_their_owner_reads_them(
    mailbox: MailboxServer,
) -> None:
    before = len(mailbox.mails())
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port) as client:
        client.sendmail("a@b.fr", ["c@d.fr"], "")
        client.sendmail("a@b.fr", ["c@d.fr"], ".")
        assert client.has_extn("SMTPUTF8")
        assert client.has_extn("8BITMIME")
        client.send_message(a_mail(to="zoé@commune-de-l’île.example"))
    assert len(mailbox.mails()) == before + 3
    assert "zoé@commune-de-l’île.example" in page(mailbox, "/", q="zoe@commune").text
    assert stat.S_IMODE(mailbox.mails()[-1].stat().st_mode) == 0o600
    assert stat.S_IMODE(mailbox.directory.stat().st_mode) == 0o700


def test_a_line_that_real_servers_refuse_is_refused(mailbox: MailboxServer) -> None:
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port) as client:
        with pytest.raises(smtplib.SMTPDataError, match="Line too long"):
            client.sendmail("a@b.fr", ["c@d.fr"], "Subject: x\r\n\r\n" + "x" * 1_500)
        client.sendmail("a@b.fr", ["c@d.fr"], "Subject: la suite\r\n\r\nx")


def test_commands_may_be_sent_at_once_and_after_a_mail(mailbox: MailboxServer) -> None:
    before = len(mailbox.mails())
    transaction = b"MAIL FROM:<a@b.fr>\r\nRCPT TO:<c@d.fr>\r\nDATA\r\n"
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port, timeout=10) as client:
        client.ehlo()
        assert client.has_extn("PIPELINING")

        def codes(sent: bytes, replies: int) -> list[int]:
            client.send(sent)
            return [client.getreply()[0] for _ in range(replies)]

        assert codes(transaction, 3) == [250, 250, 354]
        assert codes(b"un\r\n.\r\n" + transaction, 4) == [250, 250, 250, 354]
        assert codes(b".\r\n" + transaction.replace(b"<c@d.fr>", b""), 4) == [250, 250, 501, 503]
    head = b"Return-Path: <a@b.fr>\r\nDelivered-To: c@d.fr\r\n"
    assert [mail.read_bytes() for mail in mailbox.mails()[before:]] == [head + b"un\r\n", head]


def test_a_mail_that_is_too_large_is_refused_and_the_next_one_taken(mailbox: MailboxServer) -> None:
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port) as client:
        client.helo()  # without EHLO the client does not say the size before
        with pytest.raises(smtplib.SMTPDataError, match="too much mail data"):
            client.sendmail("a@b.fr", "c@d.fr", b"x" * MAX_MAIL_BYTES)
        client.sendmail("a@b.fr", ["c@d.fr"], "Subject: la suite\r\n\r\nx")


def test_mails_are_found_by_recipient_and_subject_without_accents(mailbox: MailboxServer) -> None:
    send(mailbox, a_mail("Désistement enregistré", "Noël Lefèvre <noel@lyon.example>"))
    for search in ("desistement", "NOEL@lyon", "lefevre désistement"):
        assert "Désistement enregistré" in page(mailbox, "/", q=search).text
    assert "Aucun courriel ne correspond" in page(mailbox, "/", q="introuvable").text


def test_one_mail_shows_its_texts_fields_and_attachments(mailbox: MailboxServer) -> None:
    mail = a_mail()
    mail.add_alternative("<p>Bonjour</p>", subtype="html")
    mail.add_attachment(
        b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", maintype="text", subtype="calendar", filename="séance.ics"
    )
    name = send(mailbox, mail)

    text = page(mailbox, f"/mails/{name}").text
    assert "<h1>Inscription confirmée</h1>" in text
    assert "Une ligne après le point." in text
    assert "BEGIN:VCALENDAR" in text
    assert "Content-Type" in text

    link = re.search(r'href="([^"]+/parts/\d+)" download>séance.ics<', text)
    assert link is not None
    part = page(mailbox, link.group(1))
    assert part.content.startswith(b"BEGIN:VCALENDAR")
    assert part.headers["Content-Disposition"].startswith("attachment")


def test_a_hostile_mail_can_run_load_and_send_nothing(mailbox: MailboxServer) -> None:
    mail = a_mail("<script>alert('objet')</script>", '"<img src=x onerror=alert(1)>" <x@y.fr>')
    mail.add_alternative(HOSTILE, subtype="html")
    mail.add_attachment(
        b"<script>alert(1)</script>", maintype="text", subtype="html", filename='../../"x".html'
    )
    name = send(mailbox, mail)

    for path in ("/", f"/mails/{name}"):
        shown = page(mailbox, path)
        assert "<script" not in shown.text
        assert "<img" not in shown.text
        assert "&lt;script&gt;" in shown.text
        assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    sandbox = re.search(r'<iframe[^>]* sandbox="([^"]*)"', page(mailbox, f"/mails/{name}").text)
    assert sandbox is not None
    assert "allow-scripts" not in sandbox.group(1)
    assert "allow-same-origin" not in sandbox.group(1)

    html = page(mailbox, f"/mails/{name}/html")
    policy = html.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "form-action 'none'" in policy

    attached = re.search(rf"/mails/{re.escape(name)}/parts/\d+", page(mailbox, f"/mails/{name}").text)
    assert attached is not None
    part = page(mailbox, attached.group())
    assert part.headers["Content-Type"] == "application/octet-stream"
    assert "/" not in part.headers["Content-Disposition"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: =?utf-9?q?x?= =?utf-8?b?!!!?=\r\n\r\nx",
        b"Content-Type: text/plain; charset=inconnu\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed\r\n\r\nx",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n@@@",
        b"Content-Type: text/calendar; name*0*=utf-8''%ff; name*x=1\r\n\r\nx",
        b"Subject: \xe9t\xe9\r\nTo:\r\n\r\n\x00",
    ],
)
def test_no_mail_is_too_broken_to_be_shown(mailbox: MailboxServer, raw: bytes) -> None:
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port) as client:
        client.sendmail("a@b.fr", ["c@d.fr"], raw)
    name = mailbox.mails()[-1].name
    assert page(mailbox, f"/mails/{name}").status_code == 200
    assert page(mailbox, "/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/mails/..%2Fmailbox.log", "/mails/absent.eml", "/mails/x/html", "/mails/%00.eml", "/inconnu"]
)
def test_what_is_not_there_is_a_page_that_says_so(mailbox: MailboxServer, path: str) -> None:
    answer = page(mailbox, path)
    assert answer.status_code == 404
    assert "Page introuvable" in answer.text


def test_every_page_names_its_language_title_and_headings(mailbox: MailboxServer) -> None:
    name = send(mailbox, a_mail())
    for path in ("/", f"/mails/{name}", "/inconnu"):
        text = page(mailbox, path).text
        assert '<html lang="fr">' in text
        assert re.search(r"<title>\S", text)
        assert text.count("<h1>") == 1
    assert re.search(r'<label for="q">.*<input type="search" id="q"', page(mailbox, "/").text, re.DOTALL)
