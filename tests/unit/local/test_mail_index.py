from pathlib import Path

import pytest

from local.mailbox import index, reading
from local.mailbox.index import MailIndex


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the header blocks that were parsed."""
    parsed: list[bytes] = []

    def first_fields(raw: bytes) -> dict[str, str]:
        parsed.append(raw)
        return reading.first_fields(raw)

    monkeypatch.setattr(index, "first_fields", first_fields)
    return parsed


def a_mailbox(directory: Path, mails: int) -> MailIndex:
    """Return the mailbox as it is after a restart."""
    before = MailIndex(directory)
    for number in range(mails):
        before.keep(b"To: agent-%d@ville.fr\r\nSubject: Convocation\r\n\r\nBonjour" % number)
    return MailIndex(directory)


def test_a_list_reads_the_mails_that_it_shows_and_a_search_each_mail_once(
    tmp_path: Path, read: list[bytes]
) -> None:
    mailbox = a_mailbox(tmp_path, mails=9)
    names = mailbox.find()
    assert len(names) == 9
    assert [mail.recipient for mail in mailbox.entries(names[:2])] == ["agent-8@ville.fr", "agent-7@ville.fr"]
    assert len(read) == 2
    for _ in range(2):
        assert mailbox.find("AGENT-3 convocation") == [names[5]]
        assert len(read) == 9


def test_a_mail_whose_file_was_deleted_is_listed_no_more(tmp_path: Path) -> None:
    mailbox = a_mailbox(tmp_path, mails=3)
    newest, deleted, oldest = mailbox.find()
    (tmp_path / deleted).unlink()
    assert [mail.name for mail in mailbox.entries([newest, deleted])] == [newest]
    assert mailbox.find() == [newest, oldest]


def test_a_mail_deleted_after_it_was_read_is_listed_until_it_is_opened(tmp_path: Path) -> None:
    mailbox = a_mailbox(tmp_path, mails=2)
    newest, deleted = mailbox.find("convocation")
    (tmp_path / deleted).unlink()
    assert mailbox.find("convocation") == [newest, deleted]
    assert mailbox.read(deleted) is None
    assert mailbox.find("convocation") == mailbox.find() == [newest]
    assert [mail.name for mail in mailbox.entries([newest, deleted])] == [newest]
