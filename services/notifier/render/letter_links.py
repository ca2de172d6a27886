from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifier import letters
from shared.web.links import CONFIRM_LOG_IN_FOR, ENROLMENTS_FOR, Links, Purpose

CERTIFICATE_FOR = timedelta(days=2 * 365)
SUBSCRIBER_FOR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ArrivalCode:
    address: str
    content_id: str


class LetterLinks:
    """Without ``links`` there are no addresses."""

    def __init__(self, links: Links | None, now: Callable[[], datetime]) -> None:
        self._links = links
        self._now = now

    def button(
        self, link: letters.Link | None, mail: letters.Mail, session: letters.NumberedSession | None
    ) -> str | None:
        if self._links is None or link is None:
            return None
        match link:
            case letters.Link.WITHDRAW:
                if session is None:
                    return None
                return self._to_agent(Purpose.WITHDRAW, mail, until=session.ends_at)
            case letters.Link.OFFER:
                return self._to_agent(Purpose.OFFER, mail, mail.version, until=letters.hold_until(mail))
            case letters.Link.CERTIFICATE:
                until = mail.called_for_at + CERTIFICATE_FOR
                return self._to_agent(Purpose.CERTIFICATE, mail, until=until)
            case letters.Link.CONFIRM:
                until = mail.called_for_at + letters.CONFIRM_FOR
                return self._links.url(Purpose.CONFIRM, str(mail.details["request"]), until=until)
            case letters.Link.ROSTER | letters.Link.LIST:
                return None if session is None else self._of_session(link, mail, session)
            case letters.Link.CONFIRM_ADDRESS:
                until = datetime.fromisoformat(str(mail.details["until"]))
                return self._links.confirm_address(str(mail.details["request"]), mail.address, until)
            case letters.Link.CONFIRM_LOG_IN:
                return self._log_in(self._links, mail)
            case letters.Link.CONFIRM_CORRECTION:
                if "new_address" not in mail.details:
                    return None
                return self._links.confirm_correction(
                    UUID(str(mail.details["reference"])),
                    mail.address,
                    str(mail.details["new_address"]),
                    datetime.fromisoformat(str(mail.details["until"])),
                )

    def _log_in(self, links: Links, mail: letters.Mail) -> str | None:
        if "log_in" not in mail.details:
            return None
        until = mail.called_for_at + CONFIRM_LOG_IN_FOR
        return links.url(Purpose.CONFIRM_LOG_IN, str(mail.details["log_in"]), until=until)

    def _of_session(
        self, link: letters.Link, mail: letters.Mail, session: letters.NumberedSession
    ) -> str | None:
        if self._links is None:
            return None
        if link is letters.Link.ROSTER:
            trainer_id = letters.trainer_of(mail)
            return self._links.to_trainer(trainer_id, session.session_id, session.ends_at)
        # Letters that 1.0.0 queued have no SIRET.
        if "siret" not in mail.details or self._now() >= session.starts_at:
            return None
        siret = str(mail.details["siret"])
        return self._links.to_officer(session.session_id, siret, session.ends_at)

    def answer(
        self, mail: letters.Mail, context: letters.LetterContext, session: letters.NumberedSession
    ) -> str | None:
        """Return None if no offer stands."""
        enrolment = context.enrolment
        if enrolment is None or enrolment.state is not letters.EnrolmentState.OFFERED:
            return None
        return self._to_agent(Purpose.OFFER, mail, enrolment.version, until=session.starts_at)

    def code(self, mail: letters.Mail, session: letters.NumberedSession | None) -> ArrivalCode | None:
        if self._links is None or mail.enrolment_id is None or session is None or session.venue is None:
            return None
        return ArrivalCode(self._links.arrival(mail.enrolment_id), f"code.{mail.mail_id.hex}@parcours")

    def enrolments(self, mail: letters.Mail) -> str | None:
        """Return None if the letter is about no enrolment."""
        return self._to_agent(Purpose.ENROLMENTS, mail, until=self._now() + ENROLMENTS_FOR)

    def _to_agent(
        self, purpose: Purpose, mail: letters.Mail, number: int | None = None, *, until: datetime
    ) -> str | None:
        if self._links is None or mail.enrolment_id is None:
            return None
        mark = self._links.mark(mail.address)
        return self._links.to_agent(purpose, mail.enrolment_id, mark, number or 0, until=until)

    def of_subscriber(self, mail: letters.Mail) -> Mapping[str, str] | None:
        if self._links is None:
            return None
        until = self._now() + SUBSCRIBER_FOR
        if mail.template is letters.LetterType.DIGEST:
            ended = UUID(str(mail.details["digest"]))
            return {"unsubscribe": self._links.end_digest(ended, mail.address, until)}
        if "subscriber" not in mail.details:
            return None
        subscriber = str(mail.details["subscriber"])
        return {
            "preferences": self._links.preferences(subscriber, mail.address, until),
            "unsubscribe": self._links.url(Purpose.UNSUBSCRIBE, subscriber, until=until),
        }
