"""What a delivery report says, whoever wrote it; and that nobody can send back what they did not get."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.letters import bounces
from services.notifier.letters.addresses import canonical, folded
from services.notifier.letters.bounces import Bounce, digest_of
from services.notifier.return_path import ReturnPath
from shared.events.notifier import BounceKind
from tests.unit.notifier.builders import MAIL_ID
from tests.unit.notifier.reports import OUT_OF_OFFICE, a_report

PATH = ReturnPath("retours@cnfpt.example", ["an older key", "a key"])
ZOE = "zoe.durand@ville-exemple.fr"


def test_the_return_path_of_a_mail_is_an_address_that_names_it_also_by_an_older_key() -> None:
    address = PATH.of(MAIL_ID)
    assert address.startswith(f"retours+{MAIL_ID.hex}-")
    assert len(address.rpartition("@")[0]) <= 64  # RFC 5321, 4.5.3.1.1
    assert PATH.read(f"Zoé <{address.upper()}>, other@x.example") == MAIL_ID
    assert PATH.read(ReturnPath("retours@cnfpt.example", ["an older key"]).of(MAIL_ID)) == MAIL_ID


@pytest.mark.parametrize(
    "address",
    [
        PATH.of(MAIL_ID).replace("retours+d", "retours+e"),
        ReturnPath("retours@cnfpt.example", ["another key"]).of(MAIL_ID),
        f"retours+{MAIL_ID.hex}-000000000000@cnfpt.example",
        f"retours+{MAIL_ID.hex}@cnfpt.example",
        "retours@cnfpt.example",
    ],
)
def test_a_return_path_that_we_did_not_make_names_nothing(address: str) -> None:
    assert PATH.read(address) is None
    assert bounces.read(a_report(address), PATH) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("5.1.1", BounceKind.HARD),
        ("5.1.10", BounceKind.HARD),
        ("5.2.1", BounceKind.HARD),
        ("5.4.4", BounceKind.HARD),
        ("5.2.2", BounceKind.SOFT),
        ("5.7.1", BounceKind.SOFT),
        ("5.1.0", BounceKind.SOFT),
        ("5.1.7", BounceKind.SOFT),  # it is the sender's address that is bad: ours
        ("5.1.8", BounceKind.SOFT),
        ("5.3.4", BounceKind.SOFT),
        ("4.4.7", BounceKind.SOFT),
        ("5.0.0", BounceKind.SOFT),
    ],
)
def test_a_return_is_hard_when_it_is_the_addresss_fault(status: str, kind: BounceKind) -> None:
    report = a_report(PATH.of(MAIL_ID), status=status)
    assert bounces.read(report, PATH) == Bounce(MAIL_ID, ZOE, kind, status)


@pytest.mark.parametrize(
    ("answer", "status"),
    [("550 5.1.1 user unknown", "5.1.1"), ("550-5.1.1 no", "5.1.1"), ("550 mx[5.1.20.3] full", None)],
)
def test_without_a_status_the_answers_own_code_counts_and_no_digits_of_its_words(
    answer: str, status: str | None
) -> None:
    report = a_report(PATH.of(MAIL_ID)).replace(b"Status: 5.1.1\r\n", b"")
    report = report.replace(b"550 5.1.1 user unknown", answer.encode())
    found = bounces.read(report, PATH)
    assert found is not None
    assert (found.status, found.kind is BounceKind.HARD) == (status, status is not None)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("5.1.1 (address): Recipient address rejected: User unknown", "5.1.1"),
        ("5.2.1 mailbox disabled", "5.2.1"),
        ("5.7.1 Relay access denied", None),
        ("5.1.8 Sender address rejected", None),
        ("5.2.2 mailbox full", None),
        ("5.1.11 no such code", None),
        ("4.1.1 later", None),
        ("mx 5.1.1 said so", None),
        ("no such user", None),
    ],
)
def test_a_refused_recipient_is_bad_only_where_the_relays_code_says_so(
    answer: str, status: str | None
) -> None:
    assert bounces.bad_address_in(answer) == status


@pytest.mark.parametrize("name", [b"BOUNDARY*0", b"boundary\x1c"], ids=["continued", "before a separator"])
def test_a_message_that_is_made_to_be_hard_to_take_apart_is_no_report(name: bytes) -> None:
    """Python's parser goes down a level for each multipart, and does it for every line.

    It takes the separators of ASCII for spaces.
    """
    head = a_report(PATH.of(MAIL_ID)).partition(b"\r\n\r\n")[0]
    nested = b"".join(
        b'--B%d\r\nContent-Type: multipart/mixed; %s="B%d"\r\n\r\n' % (n, name, n + 1) for n in range(1, 600)
    )
    begun = time.process_time()
    for body in (nested, nested + b"x\r\n" * 150_000, b"Content-Type: multipart/report; " * 50_000):
        assert bounces.read(head + b"\r\n\r\n" + body, PATH) is None
        assert bounces.read(head + b"\r\n" + body, PATH) is None
    assert time.process_time() - begun < 1  # it took minutes


@pytest.mark.parametrize(
    "inner",
    [
        b"Content-Type: multipart/mixed; boundary*=a; boundary*0=b",
        b"Content-Type: multipart/mixed; boundary*" + b"9" * 5_000 + b"=1",
        b"Content-Type: multipart/mixed; boundary*=%00''a",
        b"Content-Type: multipart/mixed; boundary*=idna''a%20..b",
        b"Content-Type: message/rfc822\r\n\r\n" * 6_000,
    ],
    ids=["continued twice", "a long number", "no charset", "a charset that fails", "nested mails"],
)
def test_a_message_on_which_pythons_parser_fails_is_no_report(inner: bytes) -> None:
    """It would stay unseen in the mailbox, and no report behind it would ever be read."""
    report = a_report(PATH.of(MAIL_ID))
    first = report.index(b"Content-Description: Notification")
    assert bounces.read(report[:first] + inner + b"\r\n\r\n" + report[first:], PATH) is None


@pytest.mark.parametrize("line", [b"", b"\r\n ", b"\n\t", b"\r "], ids=["one line", "CRLF", "LF", "CR"])
@pytest.mark.parametrize("piece", [b'\\";', b'"";'], ids=["escaped", "quoted"])
def test_no_header_takes_long_to_be_taken_apart(piece: bytes, line: bytes) -> None:
    """Python counts the quotes before each semicolon anew: it took twelve seconds."""
    report = a_report(PATH.of(MAIL_ID))
    first = report.index(b"Content-Description: Notification")
    header = b'CONTENT-TYPE: multipart/mixed; x="' + (piece * 300 + line) * 180
    begun = time.process_time()
    assert bounces.read(report[:first] + header + b"\r\n\r\n" + report[first:], PATH) is None
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded", "rubbish"])
def test_what_has_not_failed_has_not_come_back(action: str) -> None:
    assert bounces.read(a_report(PATH.of(MAIL_ID), action=action), PATH) is None


def test_an_automatic_reply_or_a_quoted_message_id_names_no_mail() -> None:
    """Whoever got a mail, or guesses, can quote it: only the address that we signed counts."""
    reply = OUT_OF_OFFICE.replace(b"retours@cnfpt.example", PATH.of(MAIL_ID).encode())
    assert bounces.read(reply, PATH) is None
    assert bounces.read(a_report("formations@cnfpt.example"), PATH) is None


@pytest.mark.parametrize(
    ("field", "recipient"),
    [
        ("rfc822; Zoe@Ville.example", "Zoe@Ville.example"),
        ("RFC822;<zoe@ville.example>", "zoe@ville.example"),
        ("utf-8; zoe@ville.example", "zoe@ville.example"),
        ("zoe@ville.example", ""),
        ("", ""),
    ],
)
def test_the_recipient_that_failed_is_read_from_the_report(field: str, recipient: str) -> None:
    report = a_report(PATH.of(MAIL_ID)).replace(
        f"Final-Recipient: rfc822; {ZOE}".encode(), f"Final-Recipient: {field}".encode()
    )
    found = bounces.read(report, PATH)
    assert found is not None
    assert found.recipient == recipient


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Zoe@Ville.EXAMPLE ", "zoe@ville.example"),
        ("zoe@stra\u00dfe.de", "zoe@xn--strae-oqa.de"),
        ("zoe@STRA\u00dfE.de", "zoe@xn--strae-oqa.de"),
        ("zoe@xn--strae-oqa.de", "zoe@xn--strae-oqa.de"),
        ("zoe@ville.example\u3002", "zoe@ville.example"),
        ("zoe@\u2028.fr", "zoe@\u2028.fr"),
        ("", "@"),
    ],
    ids=ascii,
)
def test_one_address_may_be_written_in_several_ways(text: str, address: str) -> None:
    assert canonical(text) == address


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("Zoe+news@Ville.example", "zoe@ville.example"),
        ("zoe.durand@ville.example", "zoe.durand@ville.example"),
        ("z.o.e+1+2@GoogleMail.com", "zoe@gmail.com"),
        ("+zoe@ville.example", "+zoe@ville.example"),
        ("zoe+x@STRA\u00dfE.de", "zoe@xn--strae-oqa.de"),
    ],
    ids=ascii,
)
def test_a_mailbox_is_known_again_by_what_its_host_ignores(address: str, mailbox: str) -> None:
    assert folded(address) == mailbox


@given(st.binary(max_size=300), st.integers(0, 1400), st.integers(0, 300))
def test_no_report_however_broken_is_more_than_no_report(rubbish: bytes, place: int, cut: int) -> None:
    report = a_report(PATH.of(MAIL_ID))
    found = bounces.read(report[:place] + rubbish + report[place + cut :], PATH)
    assert found is None or found.mail_id == MAIL_ID
    assert bounces.read(rubbish, PATH) is None


def test_an_address_is_kept_as_a_digest_whatever_its_case() -> None:
    assert digest_of("Zoe@Ville.example ", b"key") == digest_of("zoe@ville.example", b"key")
    assert b"zoe" not in digest_of("zoe@ville.example", b"key")
    assert digest_of("zoe@ville.example", b"key") != digest_of("zoe@ville.example", b"another")
