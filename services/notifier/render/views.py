"""What templates name: a session, a refusal, an item of news, in French."""

from dataclasses import dataclass

from services.notifier import letters, reasons
from shared import french
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Format, Reason, WaitingList

NEWS = {
    letters.NewsKind.REPLAY: "Nouveau replay",
    letters.NewsKind.DOSSIER: "Nouveau dossier documentaire",
    letters.NewsKind.COMMUNITY: "Nouvelle e-communauté",
    letters.NewsKind.SESSION: "Nouvel événement",
}


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as letters tell it: dates in its own zone, in French."""

    title: str
    when: str
    modules: tuple[tuple[str, str], ...]
    opens: str
    closes: str
    starts: str
    timezone: str
    venue: str | None
    join_url: str | None
    organiser: str
    is_mooc: bool
    is_limited: bool
    waiting_list: WaitingList
    offer_hold_hours: int

    @classmethod
    def of(cls, session: SessionState) -> "SessionView":
        zone = session.timezone
        return cls(
            title=session.title,
            when=french.period(session.starts_at, session.ends_at, zone),
            modules=tuple(
                (module.title, french.period(module.starts_at, module.ends_at, zone))
                for module in session.modules
            ),
            opens=french.moment(session.enrolment_opens_at, zone),
            closes=french.deadline(session.enrolment_closes_at, zone),
            starts=french.moment(session.starts_at, zone),
            timezone=zone,
            venue=session.venue,
            join_url=session.join_url,
            organiser=french.organiser(session.organiser),
            is_mooc=session.format is Format.MOOC,
            is_limited=session.capacity is not None,
            waiting_list=session.waiting_list,
            offer_hold_hours=session.offer_hold_hours,
        )


def explanation_of(
    mail: letters.Mail, session: SessionState | None, view: SessionView | None
) -> reasons.Explanation:
    """Why something was refused, with the dates of its session."""
    found = reasons.explanation(
        Reason(str(mail.facts["reason"])),
        asked=_ASKED.get(mail.template, "enrolment"),
        session_format=session.format if session else None,
    )
    if view is None:
        return found
    dates = {"opens": view.opens, "closes": view.closes, "starts": view.starts}
    return reasons.Explanation(found.sentence.format_map(dates), found.advice.format_map(dates))


_ASKED = {letters.Template.WITHDRAWAL_REFUSED: "withdrawal", letters.Template.OFFER_REFUSED: "offer"}
