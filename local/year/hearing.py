import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from local.observing import Mailbox, following
from local.year.acts import PARIS, Year
from local.year.situations import Listener
from local.year.timeline import MAIL, PORTAL, Heard

_LETTERS: Mapping[str, str] = yaml.safe_load(Path(__file__).with_name("letters.yaml").read_text())


def letter_in(subject: str) -> str:
    written = subject.replace("\N{NO-BREAK SPACE}", " ")
    if " nouveautés dans vos abonnements" in written:
        return "plusieurs nouvelles ressources"
    return next((what for beginning, what in _LETTERS.items() if written.startswith(beginning)), subject)


def answer_in(name: str, data: Mapping[str, Any]) -> str:
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
            due = ", attestation due" if data["certified"] else ""
            return (
                seen + due + (", l’attestation précédente ne vaut plus" if data["certificate_void"] else "")
            )
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


@dataclass
class Answers:
    """Each event of a portal counts once, by its id."""

    _heard: list[tuple[str, str, Heard]] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def follow(cls, topic: str, connection: Mapping[str, Any]) -> AsyncIterator["Answers"]:
        answers = cls()
        async with following(topic, connection, answers.add):
            yield answers

    def add(self, name: str, at: datetime, data: Mapping[str, Any]) -> None:
        heard = Heard(at.astimezone(PARIS).date(), PORTAL, answer_in(name, data))
        agent_id = (data.get("agent") or {}).get("agent_id") or ""
        self._heard.append((agent_id, str(data.get("request_id") or ""), heard))

    def about(self, agent_id: str, requests: Collection[str]) -> list[Heard]:
        return [
            heard
            for of, request_id, heard in self._heard
            if (of and of == agent_id) or (not of and request_id in requests)
        ]


def letters_to(mailbox: Mailbox, address: str) -> list[Heard]:
    return [
        Heard(letter.came_at.astimezone(PARIS).date(), MAIL, letter_in(letter.subject))
        for letter in mailbox.to(address)
    ]


def heard_by(listener: Listener, year: Year, answers: Answers) -> list[Heard]:
    asked = [*year.requests.get(listener.agent_id, ()), year.bespoke.get(listener.bespoke or "", "-")]
    return letters_to(year.mailbox, listener.address) + answers.about(listener.agent_id, asked)
