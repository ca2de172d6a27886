"""What was heard: letters from the mailbox, answers from the portal's topic, in plain French."""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from local.failures import LocalStackError
from local.mailbox.reading import ReadMail, open_mail
from local.topic_events import following
from local.year.people import Listener
from local.year.timeline import MAIL, PORTAL, Heard

_PARIS = ZoneInfo("Europe/Paris")

_LETTERS = {
    "Votre demande d’inscription est bien reçue": "accusé de réception",
    "Votre inscription est confirmée": "inscription confirmée",
    "Inscription confirmée et convocation": "inscription confirmée et convocation",
    "Vous êtes sur la liste d’attente": "liste d’attente",
    "Une place vous est réservée": "une place s’est libérée",
    "Vous avez obtenu une place": "place obtenue",
    "Place obtenue et convocation": "place obtenue et convocation",
    "La place proposée n’est plus réservée": "offre expirée",
    "Vous n’avez pas obtenu de place": "pas de place obtenue",
    "Votre demande d’inscription n’est pas acceptée": "refus",
    "Votre convocation": "convocation",
    "Votre session commence": "rappel",
    "Votre session change": "modification",
    "La session demandée change": "modification (en attente)",
    "Une séance est annulée": "séance annulée",
    "Session annulée": "annulation",
    "Votre désistement est enregistré": "désistement enregistré",
    "Rien ne change pour votre inscription": "déjà une inscription",
    "Votre désistement n’a pas pu être enregistré": "désistement refusé",
    "Votre réponse n’a pas pu être prise en compte": "réponse refusée",
    "Votre changement de session n’est pas possible": "changement refusé",
    "Votre changement de session est enregistré": "changement de session",
    "Changement de session et convocation": "changement de session et convocation",
    "Le replay est disponible": "replay disponible",
    "Nouveau replay": "nouvelle ressource",
    "Nouveau dossier documentaire": "nouvelle ressource",
    "Nouvelle e-communauté": "nouvelle ressource",
    "Nouvel événement": "nouvel événement",
    "Inscriptions ouvertes": "inscriptions ouvertes",
    "Confirmez votre abonnement": "abonnement à confirmer",
    "Votre attestation est disponible": "attestation",
    "Votre avis sur la session": "évaluation",
    "Message de l’organisateur": "message de l’organisation",
    "Le lien vers vos inscriptions": "lien vers les inscriptions",
    "Confirmez votre adresse électronique": "adresse à confirmer",
    "Une autre adresse électronique a été indiquée": "autre adresse indiquée",
    "Votre adresse électronique a été corrigée": "adresse corrigée",
    "Une seule de vos inscriptions est gardée": "une seule inscription gardée",
    "Votre inscription prend fin": "désistement par l’employeur",
    "Votre place est libérée": "place libérée par un changement",
    "Votre demande de formation sur mesure est bien reçue": "accusé d’une demande sur mesure",
    "Votre demande de formation sur mesure est recevable": "réponse à une demande sur mesure",
    "Une proposition pour votre formation sur mesure": "réponse à une demande sur mesure",
    "Votre formation sur mesure est convenue": "réponse à une demande sur mesure",
    "Votre demande de formation sur mesure n’est pas": "réponse à une demande sur mesure",
    "Votre liste de stagiaires est traitée": "accusé d’une liste de stagiaires",
    "Minimum non atteint, à décider": "trop peu de participants, à décider",
    "Des candidatures sont à classer": "candidatures à classer",
    "Des séances sont annulées": "séance annulée",
    "Vous intervenez dans une session": "intervention annoncée",
    "La session où vous intervenez change": "intervention modifiée",
    "La session où vous deviez intervenir est annulée": "intervention annulée",
    "Des courriels n’arrivent pas": "des courriels n’arrivent pas",
    "Résumé du jour": "résumé du jour",
}
"""By how the subject begins: the letter, as situations call it."""


def letter_in(subject: str) -> str:
    """Return what a letter is, by its subject; the subject itself where no letter is known by it."""
    written = subject.replace("\N{NO-BREAK SPACE}", " ")
    if " nouveautés dans vos abonnements" in written:
        return "plusieurs nouvelles ressources"
    return next((what for beginning, what in _LETTERS.items() if written.startswith(beginning)), subject)


def answer_in(name: str, data: Mapping[str, Any]) -> str:
    """Return what a portal's answer says, in French; `name` is the last word of its type."""
    match name:
        case "AgentEnrolled":
            by = ", de la liste d’attente" if data["from_waiting_list"] else ""
            return "une place" + (", par changement de session" if data["moved_from"] else by)
        case "AgentWaitlisted":
            return f"liste d’attente, rang {data['position']}"
        case "EnrolmentPending":
            awaited = {"employer_approval": "accord de l’employeur", "selection": "sélection"}
            return f"à décider : {awaited[data['awaiting']]}"
        case "EnrolmentRefused":
            return f"refus : {data['reason']}"
        case "EnrolmentWithdrawn":
            kept = ", présence gardée" if data["attendance_kept"] else ""
            by = "moved" if data["moved_to"] else "joined" if data["joined_to"] else data["by"]
            return f"fin : {by}{kept}"
        case "SeatOfferLapsed":
            return f"proposition terminée : {data['cause']}"
        case "AttendanceRecorded":
            seen = "présence relevée" if data["attendance"] == "attended" else "absence relevée"
            return seen + (", attestation due" if data["certified"] else "")
        case "BespokeRequestAnswered":
            return f"réponse sur mesure : {data['answer']}"
        case "RequestRejected":
            return f"rejet : {data['code']}"
    spoken = {
        "SeatOffered": "place proposée",
        "SeatNotObtained": "pas de place obtenue",
        "SessionChangedForAgent": "session modifiée",
        "RequestAccepted": "demande prise en compte",
    }
    return spoken.get(name, name)


@dataclass(frozen=True)
class _Letter:
    day: date
    address: str
    mail: ReadMail


class Letters:
    """The mails that came since this was made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known = {path.name for path in directory.glob("*.eml")}
        self._letters: list[_Letter] = []

    def look(self) -> None:
        """Read what is new."""
        for path in sorted(self._directory.glob("*.eml")):
            if path.name not in self._known:
                self._known.add(path.name)
                mail = open_mail(path.read_bytes())
                # The mailbox, whose clock is moved too, names each file by its arrival.
                came = datetime.strptime(path.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
                self._letters.append(
                    _Letter(came.astimezone(_PARIS).date(), mail.field("Delivered-To").strip(), mail)
                )

    def to(self, address: str) -> list[Heard]:
        """Return what an address was written."""
        return [
            Heard(letter.day, MAIL, letter_in(letter.mail.field("Subject")))
            for letter in self._letters
            if letter.address == address
        ]

    def link(self, address: str, page: str) -> str | None:
        """Return the newest link to a page in the letters to an address."""
        for letter in reversed(self._letters):
            found = re.search(rf"https?://\S+{re.escape(page)}/\S+", letter.mail.text or "")
            if letter.address == address and found is not None:
                return found.group()
        return None

    def newest(self, address: str) -> ReadMail:
        """Return the newest letter to an address. Raises `LocalStackError` when there is none."""
        for letter in reversed(self._letters):
            if letter.address == address:
                return letter.mail
        raise LocalStackError(f"{address} was never written to")

    @property
    def addresses(self) -> set[str]:
        """Everybody who was written to."""
        return {letter.address for letter in self._letters}


@dataclass
class Answers:
    """The portal's topic, read as it is written; each event counts once, by its id."""

    _heard: list[tuple[str, str, Heard]] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def follow(cls, topic: str, connection: Mapping[str, Any]) -> AsyncIterator["Answers"]:
        """Give the answers, which are read on until the end."""
        answers = cls()
        async with following(topic, connection, answers.add):
            yield answers

    def add(self, name: str, at: datetime, data: Mapping[str, Any]) -> None:
        """Take an answer: its type's name, when it was given, what it says."""
        heard = Heard(at.astimezone(_PARIS).date(), PORTAL, answer_in(name, data))
        agent_id = (data.get("agent") or {}).get("agent_id") or ""
        self._heard.append((agent_id, str(data.get("request_id") or ""), heard))

    def about(self, agent_id: str, requests: Sequence[str]) -> list[Heard]:
        """Return what the portal heard of an agent, or in answer to these requests about no agent."""
        return [
            heard
            for of, request_id, heard in self._heard
            if (of and of == agent_id) or (not of and request_id in requests)
        ]


def heard_by(listener: Listener, letters: Letters, answers: Answers) -> list[Heard]:
    """Return all that somebody heard."""
    return letters.to(listener.address) + answers.about(listener.agent_id, listener.requests)
