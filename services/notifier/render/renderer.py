from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.notifier import letters
from services.notifier.render import mime
from services.notifier.render.calendar import CalendarPart, CalendarWriter
from services.notifier.render.letter_links import LetterLinks
from services.notifier.render.sender import Sender
from services.notifier.render.variables import LetterVariables
from services.notifier.render.writing import LetterTexts
from services.notifier.return_path import ReturnPath
from shared import clock, qr_codes
from shared.web.calendars import Person
from shared.web.links import Links


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail ready for SMTP. A recipient address that is not ASCII needs a relay with SMTPUTF8."""

    sender: str
    recipient: str
    content: bytes


class Renderer:
    """Without ``links``, letters refer their reader to the portal.

    ``return_path`` gives each mail its own return address; without it, mails return to the sender.
    """

    def __init__(
        self,
        sender: Sender,
        links: Links | None = None,
        *,
        keep: int = 500,
        now: Callable[[], datetime] = clock.now,
        return_path: ReturnPath | None = None,
    ) -> None:
        self._return_path = return_path
        self._sender = sender
        self._now = now
        self._link_signer = links
        self._links = LetterLinks(links, now)
        self._from_address = mime.ascii_address(sender.address)
        self._from = mime.mailbox(mime.Mailbox(sender.name, self._from_address))
        self._calendar = CalendarWriter(self._from_address, keep=keep)
        self._variables = LetterVariables(sender, self._links, now, keep=keep)
        self._texts = LetterTexts(keep=keep)

    def render(self, mail: letters.Mail, context: letters.LetterContext) -> Outgoing:
        """Raises :class:`mime.UnsendableAddress`."""
        address = mime.wire_address(mail.address)
        variables = self._variables.of(mail, context)
        text, page = self._texts.of(mail, variables)
        calendars = self._calendar.of_letter(mail, context, Person(mail.name, address), self._now())
        headers = [
            ("From", self._from),
            ("To", mime.mailbox(mime.Mailbox(mail.name, address))),
            ("Subject", mime.unstructured(variables["subject"])),
            ("Date", mime.date(self._now().replace(microsecond=0))),
            ("Message-ID", mail.message_id),
            ("Auto-Submitted", "auto-generated"),
            ("Content-Language", "fr"),
        ]
        if variables["contact"] != self._sender.address:
            headers.insert(2, ("Reply-To", f"<{self._reply_to(variables['contact'])}>"))
        if letters.KINDS[mail.template].subscribed:
            headers += self._ways_out(mail)
        code = self._links.code(mail, context.session) if variables["code"] else None
        content = mime.message(
            headers,
            text=text,
            html=page,
            calendars=[_attached(part) for part in calendars],
            boundary=f"=_{mail.mail_id.hex}",
            image=None if code is None else mime.InlineImage(code.content_id, qr_codes.png(code.address)),
        )
        path = self._return_path
        return Outgoing(path.of(mail.mail_id) if path else self._from_address, address, content)

    def now(self) -> datetime:
        return self._now()

    def at(self, moment: datetime) -> "Renderer":
        return Renderer(self._sender, self._link_signer, now=lambda: moment, return_path=self._return_path)

    def text(self, mail: letters.Mail, context: letters.LetterContext) -> str:
        return self._texts.of(mail, self._variables.of(mail, context))[0]

    def subject(self, mail: letters.Mail, context: letters.LetterContext) -> str:
        return str(self._variables.of(mail, context)["subject"])

    def attachments(self, mail: letters.Mail, context: letters.LetterContext) -> list[str]:
        calendars = self._calendar.of_letter(mail, context, Person(mail.name, mail.address), self._now())
        return [_FILES[part.method] for part in calendars]

    def page(self, mail: letters.Mail, context: letters.LetterContext) -> str:
        return self._texts.of(mail, self._variables.of(mail, context))[1]

    def _reply_to(self, address: str) -> str:
        """Use our contact address unless every relay accepts the given one."""
        try:
            return mime.ascii_address(address)
        except mime.UnsendableAddress:
            return mime.ascii_address(self._sender.contact)

    def _ways_out(self, mail: letters.Mail) -> list[tuple[str, str]]:
        """Return the headers for unsubscribing: in one click (RFC 8058), or by mail without a link key."""
        links = self._links.of_subscriber(mail)
        if links is None:
            contact = mime.ascii_address(self._sender.contact)
            return [("List-Unsubscribe", f"<mailto:{contact}?subject=desabonnement>")]
        return [
            ("List-Unsubscribe", f"<{links['unsubscribe']}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]


_FILES = {"REQUEST": "inscription.ics", "PUBLISH": "inscription.ics", "CANCEL": "annulation.ics"}


def _attached(part: CalendarPart) -> mime.Attachment:
    content_type = f'text/calendar; charset=utf-8; method={part.method};\r\n name="{_FILES[part.method]}"'
    return mime.Attachment(content_type, part.body)
