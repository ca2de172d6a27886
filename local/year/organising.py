"""What organisers do in the year, by the APIs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from local.demo.people import Agent
from local.failures import LocalStackError
from local.year.acts import Act, Year, iso, paris, request_id

_ADVISOR = {"name": "Claire Hébrard", "email": "conseil@cnfpt.example"}


def publishes(at: str, name: str, draft: Mapping[str, Any]) -> Act:
    """An organiser publishes a session."""
    return Act(at, lambda year: year.publish_session(name, draft))


def imports(at: str, name: str, sheet: str, changed: str) -> Act:
    """An organiser imports a sheet of one session, which is published if it is new.

    `changed`: what becomes of it: `created`, `changed` or `unchanged`.
    """

    async def send(year: Year) -> None:
        report = await year.catalogue.call("POST", "/api/v1/sessions/import", sheet)
        (line,) = report["lines"]
        if line["outcome"] != changed:
            raise LocalStackError(f"the sheet of {name} is {line['outcome']}, not {changed}")
        if changed == "created":
            year.sessions[name] = line["session_id"]
            await year.catalogue.call("POST", f"/api/v1/sessions/{line['session_id']}/publish")

    return Act(at, send)


def changes(at: str, session: str, **fields: Any) -> Act:
    """The organiser changes a session."""
    return Act(
        at, lambda year: year.catalogue.call("PATCH", f"/api/v1/sessions/{year.sessions[session]}", fields)
    )


def cancels(at: str, session: str) -> Act:
    """The organiser cancels a session."""
    return Act(
        at, lambda year: year.catalogue.call("POST", f"/api/v1/sessions/{year.sessions[session]}/cancel")
    )


def ranks(at: str, session: str, *candidates: Agent, refused: Sequence[Agent] = ()) -> Act:
    """The organiser ranks all who applied, the first first, but those who are refused."""
    ranking = {
        "ranked": [agent.agent_id for agent in candidates],
        "not_selected": [agent.agent_id for agent in refused],
    }
    return Act(
        at,
        lambda year: year.enrolment.call(
            "PUT", f"/api/v1/sessions/{year.sessions[session]}/selection", ranking
        ),
    )


def attends(
    at: str, agent: Agent, session: str, modules: Sequence[int] = (1,), attendance: str = "attended"
) -> Act:
    """The organiser records that an agent came to these séances; by address, as the roster has them."""

    async def record(year: Year) -> None:
        named = (await year.roster(session))[agent.email]["agent"]
        seen = [
            {
                "agent_id": named["agent_id"],
                "issuer": named["issuer"],
                "module": module,
                "attendance": attendance,
            }
            for module in modules
        ]
        await year.enrolment.call(
            "POST", f"/api/v1/sessions/{year.sessions[session]}/attendance", {"records": seen}
        )

    return Act(at, record)


def attends_by_sheet(at: str, agent: Agent, session: str) -> Act:
    """The organiser sends the sheet of a session back, in which an agent came."""
    sheet = f"Identifiant;Présence;Numéro de séance\n{agent.agent_id};présence;1\n"
    return Act(
        at,
        lambda year: year.enrolment.call(
            "POST", f"/api/v1/sessions/{year.sessions[session]}/attendance.csv", sheet
        ),
    )


def enrols_by_hand(at: str, agent: Agent, session: str) -> Act:
    """The organiser enrols who stands at the door."""
    body = {name: value for name, value in agent.as_json().items() if name != "agent_id"}
    return Act(
        at,
        lambda year: year.enrolment.call(
            "POST", f"/api/v1/sessions/{year.sessions[session]}/enrolments", body
        ),
    )


def keeps_one(at: str, session: str, stays: Agent, ends: Agent) -> Act:
    """The organiser sees that two in the roster, by their addresses, are one person, and keeps one."""

    async def join(year: Year) -> None:
        roster = await year.roster(session)
        kept, ended = roster[stays.email], roster[ends.email]
        if ended["enrolment_id"] not in kept["same_person"]:
            raise LocalStackError(f"the roster does not show that {stays.email} and {ends.email} are one")
        await year.enrolment.call(
            "POST",
            f"/api/v1/enrolments/{kept['enrolment_id']}/join",
            {"enrolment_id": ended["enrolment_id"]},
        )

    return Act(at, join)


def writes(at: str, session: str, text: str, send_at: str) -> Act:
    """The organiser writes to who is in a session, at a time."""
    message = {"text": text, "send_at": iso(send_at)}
    return Act(
        at,
        lambda year: year.enrolment.call(
            "POST", f"/api/v1/sessions/{year.sessions[session]}/messages", message
        ),
    )


def publishes_replay(at: str, session: str, *themes: str) -> Act:
    """The organiser opens the recording to everyone."""

    async def publish(year: Year) -> None:
        recording = {
            "session_id": year.sessions[session],
            "title": "L’IA et les marchés publics, l’enregistrement",
            "url": f"https://videos.example.org/replays/{session}",
            "themes": themes,
        }
        await year.catalogue.call("POST", "/api/v1/replays", recording)

    return Act(at, publish)


def publishes_resource(at: str, kind: str, title: str, *themes: str) -> Act:
    """The CNFPT opens a dossier documentaire or an e-communauté (`kind`) to everyone."""
    resource = {
        "kind": kind,
        "title": title,
        "url": f"https://ressources.example.org/{kind}",
        "themes": themes,
        "organiser": "inset-dunkerque",
    }
    return Act(at, lambda year: year.catalogue.call("POST", "/api/v1/resources", resource))


def answers_authority(at: str, name: str, answer: str, session: Mapping[str, Any] | None = None) -> Act:
    """The delegation answers; the session that is agreed on gets the name of the request."""

    async def send(year: Year) -> None:
        path = f"/api/v1/bespoke-requests/{request_id(f'{name}/asked')}/answers"
        body = {"advisor": _ADVISOR, "answer": answer} | ({} if session is None else {"session": session})
        answered = await year.catalogue.call("POST", path, body)
        if answered["session_id"] is not None:
            year.sessions[name] = answered["session_id"]

    return Act(at, send)


def wants_letters(at: str, delegation: str, **contacts: Sequence[str]) -> Act:
    """Who of a delegation's staff is written to is set; the notifier writes the letters of the morning.

    It does so once it has read what was decided before, and looks once a minute.
    """

    async def begin(year: Year) -> None:
        await year.wait_until_decisions_are_read(paris(at))
        await year.start_notifier_again(DELEGATION_CONTACTS=json.dumps({delegation: contacts}))

    return Act(at, begin)
