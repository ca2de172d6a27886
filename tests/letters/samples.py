"""Every letter, and what it says in each case that has words of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.notifier.letters import (
    EnrolmentState,
    Interest,
    InterestKind,
    LetterType,
    NewsItem,
    NewsKind,
    NumberedModule,
    NumberedSession,
    OtherCertificates,
)
from shared.events.reasons import Reason
from tests.letters.sessions import event, inet, mooc, webinar

NOW = datetime(2025, 3, 10, 13, 5, 30, tzinfo=UTC)
_EVENT, _MOOC, _INET, _WEBINAR = event(), mooc(), inet(), webinar()
_ELSEWHERE = event(session_id=_WEBINAR.session_id, organiser="normandie", venue="Le Dôme, Caen")
_LATER = event(
    session_id=_WEBINAR.session_id,
    organiser="normandie",
    venue="Le Dôme, Caen",
    starts_at="2025-05-22T09:30:00+02:00",
    ends_at="2025-05-22T17:00:00+02:00",
)
_CLOSED = _EVENT.enrolment_closes_at + timedelta(days=1)
_SOON = _EVENT.enrolment_closes_at - timedelta(hours=1)
_ID = UUID("d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90")


_MESSAGE: dict[str, Any] = {
    "text": "Venez avec un ordinateur portable : les ateliers de l’après-midi en ont besoin.\n"
    "Si vous n’en avez pas, dites-le-nous avant vendredi.",
    "link": "https://ressources.example.org/preparer-les-ateliers",
    "audience": ["enrolled", "waitlisted"],
    "session_version": 1,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A letter to show: its name is that of its files."""

    name: str
    template: LetterType
    details: dict[str, Any] = field(default_factory=dict)
    session: NumberedSession | None = None
    others: Sequence[NumberedSession] = ()
    news: Sequence[NewsItem] = ()
    named: bool = True
    now: datetime = NOW
    state: EnrolmentState | None = None
    other: NumberedSession | None = None
    people: Mapping[UUID, str] = field(default_factory=dict)
    trainers: Sequence[str] = ()
    listed: Sequence[NumberedSession] = ()
    certificates: OtherCertificates = field(default_factory=OtherCertificates)
    version: int = 3
    """The enrolment's: what ends it has a higher one than what confirmed it."""


def samples() -> list[Sample]:
    """Every letter, those about one enrolment in the order in which an agent could get them."""
    return [*_answers(), *_moves(), *_refusals(), *_to_come(), *_changes(), *_ends(), *_news(), *_bespoke()]


def _answers() -> list[Sample]:
    hold = {"hold_until": "2025-03-17T11:00:00+00:00"}
    shortened = {"shortened_from": "2025-03-19T11:00:00+00:00"}
    cut, quota = {"because": "session_changed"}, {"because": "quota"}
    until_the_start = event(enrolment_closes_at=_EVENT.starts_at.isoformat())
    automatic = event(waiting_list="automatic")
    two_steps = inet(approval="employer_then_selection")
    selection = {"awaiting": "selection"}
    return [
        Sample("accuse-employeur", LetterType.PENDING, {"awaiting": "employer_approval"}, _EVENT),
        Sample("accuse-selection", LetterType.PENDING, {"awaiting": "selection"}, _INET),
        Sample("accuse-premiere-etape", LetterType.PENDING, {"awaiting": "employer_approval"}, two_steps),
        Sample("accuse-deux-etapes-accord-joint", LetterType.PENDING, selection, two_steps),
        Sample("accuse-seconde-etape", LetterType.PENDING, selection | {"approved": True}, two_steps),
        Sample("inscription-confirmee", LetterType.CONFIRMED, {}, _EVENT),
        Sample("inscription-confirmee-mooc", LetterType.CONFIRMED, {}, _MOOC),
        Sample("inscription-confirmee-mooc-ouvert", LetterType.CONFIRMED, {}, _MOOC, now=_during(_MOOC)),
        Sample("inscription-confirmee-inet", LetterType.CONFIRMED, {}, _INET),
        Sample("inscription-confirmee-webinaire", LetterType.CONFIRMED, {}, _WEBINAR),
        Sample("liste-d-attente-offre", LetterType.WAITLISTED, {"position": 3}, _EVENT),
        Sample("liste-d-attente-automatique", LetterType.WAITLISTED, {"position": 1}, automatic),
        Sample("liste-d-attente-groupe", LetterType.WAITLISTED, {"position": 2, "together": 5}, automatic),
        Sample("place-liberee", LetterType.SEAT_OFFERED, hold, _EVENT),
        Sample("place-liberee-delai-raccourci", LetterType.SEAT_OFFERED, hold | shortened, _EVENT),
        Sample("place-attribuee", LetterType.SEAT_ASSIGNED, {}, _EVENT),
        Sample("inscription-confirmee-convocation", LetterType.CONFIRMED, {}, _EVENT, now=_SOON),
        Sample("place-attribuee-convocation", LetterType.SEAT_ASSIGNED, {}, _EVENT, now=_SOON),
        Sample("offre-expiree", LetterType.OFFER_LAPSED, {"cause": "expired"}, _EVENT),
        Sample("offre-ecourtee", LetterType.OFFER_LAPSED, {"cause": "expired"} | cut, _EVENT),
        Sample("offre-refusee", LetterType.OFFER_LAPSED, {"cause": "declined"}, _EVENT),
        Sample("offre-refusee-tard", LetterType.OFFER_LAPSED, {"cause": "declined"}, _EVENT, now=_CLOSED),
        Sample("pas-de-place", LetterType.SEAT_NOT_OBTAINED, {}, _EVENT, [_ELSEWHERE], now=_CLOSED),
        Sample(
            "pas-de-place-session-avancee", LetterType.SEAT_NOT_OBTAINED, cut, until_the_start, now=_CLOSED
        ),
        Sample("pas-de-place-quota", LetterType.SEAT_NOT_OBTAINED, quota, _EVENT, now=_CLOSED),
        Sample("pas-de-place-sans-autre", LetterType.SEAT_NOT_OBTAINED, {}, _EVENT, now=_CLOSED),
        Sample("pas-de-place-webinaire", LetterType.SEAT_NOT_OBTAINED, {}, _WEBINAR, now=_during(_WEBINAR)),
        Sample("inscription-confirmee-tard", LetterType.CONFIRMED, {}, _EVENT, now=_EVENT.ends_at),
    ]


def _moves() -> list[Sample]:
    left = {
        "left_session": str(_EVENT.session_id),
        "left_enrolment": "0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c02",
        "left_version": 2,
    }
    at_the_same_time = event(venue="Maison du peuple, Brest", session_id=_LATER.session_id)
    refused = [
        (f"changement-refuse-{_slug(reason)}", reason, _LATER, NOW)
        for reason in (
            Reason.SESSION_FULL,
            Reason.APPROVAL_DENIED,
            Reason.NOT_SELECTED,
            Reason.DEADLINE_PASSED,
        )
    ]
    too_late = "changement-refuse-trop-tard", Reason.DEADLINE_PASSED, _LATER, _during(_EVENT)
    return [
        Sample("changement-de-session", LetterType.MOVED, left, _LATER, other=_EVENT, version=1),
        Sample("changement-le-meme-jour", LetterType.MOVED, left, at_the_same_time, other=_EVENT, version=1),
        Sample(
            "changement-et-convocation",
            LetterType.MOVED,
            left,
            _LATER,
            other=_EVENT,
            version=1,
            now=_LATER.starts_at - timedelta(days=3),
        ),
        Sample(
            "changement-puis-desistement",
            LetterType.MOVED,
            left,
            _LATER,
            other=_EVENT,
            version=1,
            state=EnrolmentState.WITHDRAWN,
        ),
        *(
            Sample(name, LetterType.MOVE_REFUSED, _to(there, reason), _EVENT, other=there, now=now)
            for name, reason, there, now in (*refused, too_late)
        ),
    ]


def _to(there: NumberedSession, reason: Reason) -> dict[str, Any]:
    return {"to_session": str(there.session_id), "reason": reason.value}


def _refusals() -> list[Sample]:
    refused = [
        Sample(
            f"refus-{_slug(reason)}",
            LetterType.REFUSED,
            {"reason": reason.value},
            _where_refused(reason),
            [_ELSEWHERE],
        )
        for reason in Reason
        if reason not in (Reason.ALREADY_ENROLLED, Reason.NOT_ENROLLED, Reason.NO_OFFER)
    ]
    answers = [
        Sample(f"reponse-refusee-{_slug(reason)}", LetterType.OFFER_REFUSED, {"reason": reason.value}, _EVENT)
        for reason in (Reason.DEADLINE_PASSED, Reason.NO_OFFER, Reason.ALREADY_ENROLLED)
    ]
    approval, selection = (
        {"reason": reason.value, "because": "silence"}
        for reason in (Reason.APPROVAL_DENIED, Reason.NOT_SELECTED)
    )
    late, early = {"reason": "deadline_passed"}, {"reason": "not_open_yet"}
    at_midnight = event(enrolment_opens_at="2025-03-17T00:00:00+01:00")
    return [
        *refused,
        Sample("refus-ouverture-a-minuit", LetterType.REFUSED, early, at_midnight),
        Sample("refus-ouverture-lu-tard", LetterType.REFUSED, early, _EVENT, now=_CLOSED),
        Sample("refus-webinaire-complet", LetterType.REFUSED, {"reason": "session_full"}, _WEBINAR),
        *(
            Sample(
                f"refus-hors-public-{part}",
                LetterType.REFUSED,
                {"reason": "not_eligible", "outside": [part]},
                only,
            )
            for part, only in (
                ("function", inet(audience={"functions": ["encadrant", "chef_de_service"]})),
                ("employer", event(audience={"sirets": ["21440109300015"]})),
                ("delegation", event(audience={"delegations": ["bretagne", "normandie"]})),
            )
        ),
        Sample("refus-sans-accord-a-temps", LetterType.REFUSED, approval, _EVENT, now=_CLOSED),
        Sample("refus-sans-selection", LetterType.REFUSED, selection, _INET, now=_INET.ends_at),
        Sample("deja-inscrit", LetterType.ALREADY_ENROLLED, {}, _EVENT),
        *answers,
        Sample("reponse-refusee-tard", LetterType.OFFER_REFUSED, late, _EVENT, now=_CLOSED),
        Sample("desistement-refuse", LetterType.WITHDRAWAL_REFUSED, late, _EVENT, now=_during(_EVENT)),
        Sample("desistement-refuse-mooc", LetterType.WITHDRAWAL_REFUSED, late, _MOOC, now=_MOOC.ends_at),
    ]


def _slug(reason: Reason) -> str:
    return reason.value.replace("_", "-")


def _where_refused(reason: Reason) -> NumberedSession | None:
    match reason:
        case Reason.UNKNOWN_SESSION:
            return None
        case Reason.NOT_OPEN_YET:
            return event(enrolment_opens_at="2025-03-17T09:00:00+01:00")
        case Reason.DEADLINE_PASSED:
            return event(enrolment_closes_at="2025-03-09T00:00:00+01:00")
        case Reason.NOT_SELECTED:
            return _INET
        case Reason.PREREQUISITE_MISSING:
            return event(prerequisite={"offer_id": _MOOC.offer_id, "title": _MOOC.title})
        case _:
            return _EVENT


def _to_come() -> list[Sample]:
    return [
        Sample("convocation", LetterType.JOINING, {}, _EVENT),
        Sample(
            "convocation-acces",
            LetterType.JOINING,
            {},
            _next(_EVENT, directions="Métro Sainte-Anne ; entrée par la cour"),
        ),
        Sample(
            "convocation-intervention",
            LetterType.JOINING,
            {},
            _next(_EVENT, trainer_ids=[UUID(int=1), UUID(int=2)]),
            trainers=("Cécile L’Hostis", "Nadia Benali"),
        ),
        Sample("convocation-mooc", LetterType.JOINING, {}, _MOOC, now=_MOOC.starts_at),
        Sample("convocation-webinaire", LetterType.JOINING, {}, _WEBINAR),
        *(
            Sample(name, template, {}, session, now=session.starts_at - timedelta(days=days))
            for name, template, session, days in (
                ("rappel-une-semaine", LetterType.REMINDER_WEEK, _EVENT, 7),
                ("rappel-une-semaine-mooc", LetterType.REMINDER_WEEK, _MOOC, 7),
                ("rappel-un-jour", LetterType.REMINDER_DAY, _EVENT, 1),
                ("rappel-un-jour-webinaire", LetterType.REMINDER_DAY, _WEBINAR, 1),
                ("rappel-un-jour-mooc", LetterType.REMINDER_DAY, _MOOC, 1),
            )
        ),
        Sample("rappel-le-jour-meme", LetterType.REMINDER_DAY, {}, _EVENT, now=_morning_of(_EVENT)),
    ]


def _changes() -> list[Sample]:
    moved = {
        "starts_before": "2025-04-02T07:30:00+00:00",
        "ends_before": "2025-04-02T15:00:00+00:00",
        "timezone_before": "Europe/Paris",
    }
    place = {"venue_before": "Salle des fêtes, Rennes"}
    second_day = {
        "number": 2,
        "starts_at": "2025-05-15T07:30:00+00:00",
        "ends_at": "2025-05-15T15:00:00+00:00",
    }
    days = {"modules": [second_day, {"number": 3}]}
    gone = [
        {
            "number": number,
            "title": f"Atelier {number - 3}",
            "starts_at": f"2025-05-{number + 11}T07:30:00+00:00",
            "ends_at": f"2025-05-{number + 11}T10:00:00+00:00",
        }
        for number in (4, 5)
    ]
    return [
        Sample("modification-dates-et-lieu", LetterType.SESSION_CHANGED, moved | place, _next(_EVENT)),
        Sample(
            "modification-en-attente",
            LetterType.SESSION_CHANGED_WAITING,
            moved | place,
            _next(_EVENT),
            state=EnrolmentState.WAITLISTED,
        ),
        Sample(
            "modification-place-proposee",
            LetterType.SESSION_CHANGED_WAITING,
            moved,
            _next(_EVENT),
            state=EnrolmentState.OFFERED,
        ),
        Sample(
            "modification-candidature",
            LetterType.SESSION_CHANGED_WAITING,
            days | {"gone": gone},
            _next(_INET),
            state=EnrolmentState.PENDING,
        ),
        Sample("modification-lieu", LetterType.SESSION_CHANGED, place, _next(_EVENT)),
        Sample("modification-seance", LetterType.SESSION_CHANGED, {"modules": [second_day]}, _next(_INET)),
        Sample("modification-seances", LetterType.SESSION_CHANGED, days, _next(_INET)),
        Sample("modification-lien", LetterType.SESSION_CHANGED, {"link_changed": True}, _next(_WEBINAR)),
        Sample("seance-annulee", LetterType.MODULE_CANCELLED, {"modules": gone[:1]}, _next(_INET)),
        Sample("seances-annulees", LetterType.MODULE_CANCELLED, {"modules": gone}, _next(_INET)),
    ]


def _next(session: NumberedSession, **changes: Any) -> NumberedSession:
    """Its next version."""
    return NumberedSession.model_validate(session.model_dump() | {"version": session.version + 1} | changes)


def _ends() -> list[Sample]:
    cancelled = _next(_EVENT, status="cancelled")
    dropped = NumberedModule(4, "Atelier", _INET.ends_at, _INET.ends_at + timedelta(hours=2))
    one_less = _next(_INET, status="cancelled", gone=(dropped,))
    sat, waited = {"had_seat": True}, {"had_seat": False}
    because = {"said": "La salle n’est plus disponible.\nUne autre date sera proposée au printemps."}
    by_employer = sat | {"by": "employer"}
    joined = sat | {"by": "agent", "joined": True}
    replay = {
        "replay_title": "IA et droit : les bases",
        "replay_url": "https://replays.example.org/ia-et-droit",
    }
    evaluated = event(evaluation_url="https://avis.example/ia-et-territoires")
    return [
        Sample("annulation", LetterType.SESSION_CANCELLED, sat, cancelled, [_ELSEWHERE], version=4),
        Sample("annulation-avec-seance-annulee", LetterType.SESSION_CANCELLED, sat, one_less, version=4),
        Sample(
            "annulation-apres-un-jour",
            LetterType.SESSION_CANCELLED,
            sat | {"attendance_kept": True},
            _next(_INET, status="cancelled"),
            version=4,
        ),
        Sample("annulation-avec-motif", LetterType.SESSION_CANCELLED, sat | because, cancelled, version=4),
        Sample("annulation-sans-place", LetterType.SESSION_CANCELLED, waited, cancelled),
        Sample("desistement-enregistre", LetterType.WITHDRAWN, sat | {"by": "agent"}, _EVENT, version=4),
        Sample(
            "desistement-tard", LetterType.WITHDRAWN, sat | {"by": "agent"}, _EVENT, now=_CLOSED, version=4
        ),
        Sample("desistement-mooc", LetterType.WITHDRAWN, sat | {"by": "agent"}, _MOOC, version=4),
        Sample("desistement-sans-place", LetterType.WITHDRAWN, waited | {"by": "agent"}, _EVENT),
        Sample("inscriptions-reunies", LetterType.WITHDRAWN, joined, _EVENT, version=4),
        Sample("desistement-par-l-employeur", LetterType.WITHDRAWN, by_employer, _EVENT, version=4),
        Sample("replay-disponible", LetterType.REPLAY_AVAILABLE, replay, _WEBINAR),
        Sample("attestation", LetterType.CERTIFICATE, {}, _EVENT),
        Sample("attestation-et-avis", LetterType.CERTIFICATE, {}, evaluated),
        Sample(
            "attestation-corrigee",
            LetterType.CERTIFICATE,
            {},
            _EVENT,
            certificates=OtherCertificates(was_sent=True),
        ),
        Sample("attestation-retiree", LetterType.CERTIFICATE_VOID, {}, _EVENT),
        Sample("avis", LetterType.EVALUATION, {}, evaluated, now=evaluated.ends_at),
    ]


def _news() -> list[Sample]:
    items = [
        _item(1, NewsKind.REPLAY, "IA et droit : les bases", "L’enregistrement du webinaire du 6 mars."),
        _item(2, NewsKind.DOSSIER, "L’IA et l’action publique locale"),
        _item(3, NewsKind.SESSION, _EVENT.title, event=_EVENT),
        _item(4, NewsKind.COMMUNITY, "Les métiers et l’IA"),
        _item(5, NewsKind.OPENING, _EVENT.title, event=_EVENT),
    ]
    not_yet = event(enrolment_opens_at="2025-03-17T00:00:00+01:00")
    follows = {"items": [str(item.item_id) for item in items], "subscriber": str(_ID)}
    requested = {"request": str(_ID), "interests": ["theme:enjeux-ia", "delegation:bretagne"]}
    given = {
        "request": str(_ID),
        "until": (NOW + timedelta(days=1)).isoformat(),
    }
    kept = {"reference": str(_ID), "until": given["until"]}
    return [
        Sample("nouveau-replay", LetterType.NEWS, follows, news=items[:1]),
        Sample("nouveau-dossier", LetterType.NEWS, follows, news=items[1:2]),
        Sample("nouvel-evenement", LetterType.NEWS, follows, news=[replace(items[2], event=not_yet)]),
        Sample("nouvelle-communaute", LetterType.NEWS, follows, news=items[3:4]),
        Sample("inscriptions-ouvertes", LetterType.NEWS, follows, news=items[4:]),
        Sample("nouveautes", LetterType.NEWS, follows, news=items[:3], named=False),
        Sample("abonnement-a-confirmer", LetterType.CONFIRM_SUBSCRIPTION, requested, named=False),
        Sample("connexion-a-confirmer", LetterType.MY_ENROLMENTS, {"log_in": str(_ID)}),
        Sample("lien-perdu", LetterType.MY_ENROLMENTS, {}),
        Sample("adresse-a-confirmer", LetterType.CONFIRM_ADDRESS, given, named=False),
        Sample("adresse-indiquee", LetterType.ADDRESS_GIVEN, kept),
        Sample(
            "adresse-corrigee",
            LetterType.ADDRESS_CORRECTED,
            kept | {"by": "support", "new_address": "zoe@nouvelle.example"},
        ),
        Sample(
            "adresse-corrigee-de-nouveau",
            LetterType.ADDRESS_CORRECTED,
            kept | {"by": "agent"},
        ),
        Sample(
            "adresse-corrigee-sans-attente",
            LetterType.ADDRESS_CORRECTED,
            {"reference": str(_ID), "by": "portal"},
        ),
        Sample(
            "trop-peu-de-participants",
            LetterType.MINIMUM_MISSED,
            {"session_version": 1, "minimum": 12, "enrolled": 7, "offered": 1, "candidates": 0},
            _EVENT,
            named=False,
        ),
        Sample(
            "liste-de-stagiaires",
            LetterType.NOMINATION_ANSWERED,
            {
                "session_version": 1,
                "trainees": [
                    {"enrolment": str(UUID(int=1)), "outcome": "enrolled"},
                    {"enrolment": str(UUID(int=2)), "outcome": "enrolled"},
                    {"enrolment": str(UUID(int=3)), "outcome": "refused", "reason": "session_full"},
                    {"enrolment": str(UUID(int=4)), "outcome": "refused", "reason": "not_eligible"},
                ],
                "replaced": [str(UUID(int=5))],
            },
            _EVENT,
            people={
                UUID(int=number): name
                for number, name in enumerate(
                    ("Alice Martin", "Bruno Le Gall", "Chloé Riou", "David Morel", "Emma Petit"), start=1
                )
            },
        ),
        Sample(
            "webhook-desactive",
            LetterType.WEBHOOK_DISABLED,
            {"portal": "iel", "failure": "status 503"},
            named=False,
        ),
        Sample("message-de-l-organisation", LetterType.ORGANISER_MESSAGE, _MESSAGE, _EVENT),
        Sample(
            "message-a-la-liste-d-attente",
            LetterType.ORGANISER_MESSAGE,
            _MESSAGE | {"link": None},
            _EVENT,
            state=EnrolmentState.WAITLISTED,
        ),
        *_by_the_day(),
        *_to_trainers(),
        Sample(
            "candidatures-a-classer",
            LetterType.SELECTION_DUE,
            {"session_version": 1, "candidates": 34, "capacity": 20, "enrolled": 2},
            _INET,
            named=False,
        ),
    ]


_MORNING = datetime(2025, 3, 27, 7, 0, tzinfo=UTC)
"""Of the day of which the letters to organisers are."""


def _by_the_day() -> list[Sample]:
    """Letters to organisers about all of their sessions."""
    starts = "2025-04-01T14:00:00+04:00"
    dates = {"enrolment_closes_at": starts, "starts_at": starts, "ends_at": "2025-04-01T15:30:00+04:00"}
    web = _next(_WEBINAR, session_id=UUID(int=1), **dates)
    place = _next(_EVENT, session_id=UUID(int=2))
    closed = "2025-03-26T00:00:00+01:00"
    chosen = _next(_INET, session_id=UUID(int=3), enrolment_closes_at=closed, minimum=12)

    def digest(name: str, to_decide: int, soon: int, *rows: tuple[NumberedSession, dict[str, int]]) -> Sample:
        taken = ("enrolled", "offered", "waiting", "pending")
        counts = (*taken, "to_rank", "minimum_missed", "soon", "new", "left", "people")
        sessions = [
            {"session": str(session.session_id), **dict.fromkeys(counts, 0), **row} for session, row in rows
        ]
        details = {"sessions": sessions, "in_all": len(rows), "to_decide": to_decide, "soon": soon}
        details["digest"] = str(UUID(int=1))
        details |= {name: sum(row.get(name, 0) for _, row in rows) for name in ("new", "left")}
        return sample(name, LetterType.DIGEST, details, *(session for session, _ in rows))

    def returned(name: str, *rows: tuple[NumberedSession, int]) -> Sample:
        sessions = [{"session": str(session.session_id), "people": people} for session, people in rows]
        details = {"sessions": sessions, "in_all": len(rows), "people": sum(people for _, people in rows)}
        return sample(name, LetterType.MAILS_RETURNED, details, *(session for session, _ in rows))

    def sample(name: str, template: LetterType, details: dict[str, Any], *listed: NumberedSession) -> Sample:
        return Sample(name, template, details, named=False, listed=listed, now=_MORNING)

    few = {"enrolled": 2, "pending": 5, "to_rank": 5, "minimum_missed": 12, "people": 1}
    full = {"enrolled": 78, "offered": 2, "waiting": 14, "soon": 1, "new": 6, "left": 1}
    approved_by_employers = _next(place, approval="employer")
    return [
        digest("resume-du-jour", 1, 2, (chosen, few), (web, {"enrolled": 64, "soon": 1}), (place, full)),
        digest("resume-a-decider", 1, 0, (chosen, {"enrolled": 2, "pending": 34, "to_rank": 34})),
        digest("resume-a-venir", 0, 1, (approved_by_employers, full | {"pending": 4, "people": 2})),
        digest("resume-courriels", 0, 0, (chosen, {"enrolled": 18, "people": 3})),
        digest("resume-demandes", 0, 0, (place, {"enrolled": 18, "new": 3})),
        returned("courriels-revenus", (web, 2), (place, 1), (chosen, 4)),
        returned("courriels-revenus-une-personne", (web, 1)),
    ]


def _to_trainers() -> list[Sample]:
    """Letters to who teaches in a session, alone or with others."""
    named = {"trainer": str(UUID(int=1)), "session_version": 1}
    names = ("Zoé Durand", "Nadia Benali")
    return [
        Sample("intervention", LetterType.TRAINER_NAMED, named, _EVENT, trainers=names),
        Sample("intervention-webinaire", LetterType.TRAINER_NAMED, named, _WEBINAR, trainers=names[:1]),
        Sample("intervention-plusieurs-dates", LetterType.TRAINER_NAMED, named, _INET),
        Sample(
            "intervention-modifiee",
            LetterType.TRAINER_CHANGED,
            named | {"venue_before": "Salle des fêtes, Rennes"},
            _EVENT,
            trainers=names,
        ),
        Sample(
            "intervention-annulee", LetterType.TRAINER_CANCELLED, named, _next(_EVENT, status="cancelled")
        ),
        Sample(
            "intervention-annulee-avec-motif",
            LetterType.TRAINER_CANCELLED,
            named | {"said": "La salle n’est plus disponible."},
            _next(_EVENT, status="cancelled"),
        ),
    ]


def _item(
    number: int, kind: NewsKind, title: str, summary: str | None = None, event: NumberedSession | None = None
) -> NewsItem:
    url = None if event is not None else f"https://ressources.example.org/{number}"
    interest = Interest(InterestKind.THEME, "enjeux-ia")
    opened = event.session_id if event is not None and kind is NewsKind.OPENING else None
    return NewsItem(UUID(int=number), kind, title, summary, url, (interest,), NOW, opened, event)


def _bespoke() -> list[Sample]:
    answered = {
        "message": "Deux jours à Rennes, pour quinze agentes et agents.\n\nPrévoyez un ordinateur pour deux.",
        "advisor": "Yann Le Goff",
        "advisor_address": "yann.legoff@cnfpt.example",
        "reference": str(_ID),
        "siret": "21350238800019",
    }
    agreed = event(
        format="bespoke",
        title="Management de la transition numérique",
        enrolment_closes_at="2025-03-19T00:00:00+01:00",
        capacity=15,
        waiting_list="none",
        venue="Hôtel de ville, Rennes",
    )
    request: dict[str, Any] = {
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "theme": "enjeux-ia",
        "trainees": 15,
        "reference": str(_ID),
        "wished_from": "2025-09-01T00:00:00+02:00",
        "wished_until": "2025-11-30T00:00:00+01:00",
    }
    elsewhere = {
        "delegation": "la-reunion",
        "trainees": 1,
        "wished_from": None,
        "wished_until": None,
    }
    return [
        Sample("sur-mesure-recue", LetterType.BESPOKE_RECEIVED, request),
        Sample("sur-mesure-recue-outre-mer", LetterType.BESPOKE_RECEIVED, request | elsewhere),
        *_answers_to_bespoke(answered, agreed),
    ]


def _answers_to_bespoke(answered: dict[str, Any], agreed: NumberedSession) -> list[Sample]:
    return [
        Sample(name, LetterType.BESPOKE_ANSWERED, answered | {"answer": answer}, session, now=now)
        for name, answer, session, now in (
            ("sur-mesure-convenue", "agreed", agreed, NOW),
            ("sur-mesure-recevable", "qualified", None, NOW),
            ("sur-mesure-proposition", "proposed", None, NOW),
            ("sur-mesure-refusee", "declined", None, NOW),
            ("sur-mesure-convenue-sans-session", "agreed", None, NOW),
            ("sur-mesure-convenue-tard", "agreed", agreed, agreed.enrolment_closes_at),
        )
    ]


def _morning_of(session: NumberedSession) -> datetime:
    return session.starts_at - timedelta(hours=1)


def _during(session: NumberedSession) -> datetime:
    return session.starts_at + timedelta(hours=1)
