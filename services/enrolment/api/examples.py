"""Examples by schema name. A test checks them."""

from typing import Any

_SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
_REQUEST = "5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11"
_ENROLMENT = "0b9f3c52-6b7e-5a38-8a3e-1f0c2d4e5f60"
_MESSAGE = "7d1e4b9a-52c3-4f6e-9a0b-3c8d7e6f5a41"
_NOON, _LATER = "2026-11-25T12:00:00Z", "2026-11-26T08:30:00Z"
_AGENT = {
    "agent_id": "IEL-0048151",
    "issuer": "iel",
    "email": "zoe.durand@ville-exemple.fr",
    "given_name": "Zoé",
    "family_name": "Durand",
    "function": "agent",
    "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"},
}
_ACCEPTED = {"request_id": _REQUEST, "outcome_url": f"/api/v1/requests/{_REQUEST}"}

EXAMPLES: dict[str, Any] = {
    "Accepted": _ACCEPTED,
    "BatchItem": {"ce_id": _REQUEST, "status": 202, "problem": None},
    "RequestOutcome": {
        "request_id": _REQUEST,
        "state": "answered",
        "outcome": "waitlisted",
        "received_at": _NOON,
        "decided_at": _NOON,
        "asked": "enrolment",
        "session_id": _SESSION,
        "facts": {"capacity": 20, "enrolled": 20, "offered": 0, "waiting": 3, "place_in_line": 4},
        "event": "fr.cnfpt.enrolment.AgentWaitlisted.v1",
        "state_now": "enrolled",
        "history": [
            {
                "at": _LATER,
                "enrolment_id": _ENROLMENT,
                "cause": "seat_freed",
                "state": "enrolled",
                "event": "fr.cnfpt.enrolment.AgentEnrolled.v1",
            }
        ],
    },
    "EnrolmentOfAgent": {
        "enrolment_id": _ENROLMENT,
        "version": 1,
        "session_id": _SESSION,
        "issuer": "iel",
        "agent_id": "IEL-0048151",
        "state": "waitlisted",
        "reason": None,
        "position": 4,
        "waits_together": False,
        "hold_until": None,
        "request_id": _REQUEST,
        "request_source": "/portals/iel",
        "received_at": _NOON,
        "updated_at": _NOON,
    },
    "Answers": {
        "items": [
            {
                "specversion": "1.0",
                "id": "1c7e4a90-3f5b-4a6d-8e21-9b0f7c6d5e43",
                "type": "fr.cnfpt.enrolment.RequestRejected.v1",
                "source": "/services/enrolment",
                "time": _NOON,
                "subject": "portal.enrolments-3-42",
                "datacontenttype": "application/json",
                "data": {
                    "request_id": _REQUEST,
                    "request_source": "/portals/iel",
                    "portal": "iel",
                    "topic": "portal.enrolments",
                    "partition": 3,
                    "offset": 42,
                    "code": "invalid",
                    "problems": [{"pointer": "/agent/email", "message": "Field required"}],
                },
            }
        ],
        "next": 18,
    },
    "RosterEntry": {
        "enrolment_id": _ENROLMENT,
        "version": 2,
        "state": "waitlisted",
        "reason": None,
        "position": 1,
        "waits_together": False,
        "priority": 0,
        "agent": _AGENT,
        "address_is_bad": False,
        "received_at": _NOON,
        "updated_at": _LATER,
        "hold_until": None,
        "attendance": [],
        "same_person": [],
        "above_capacity": None,
        "answers": [],
    },
    "PriorityChange": {"priority": 10, "reason": "Session reportée deux fois pour cet agent"},
    "WithdrawalByOrganiser": {"by": "agent", "reason": "Empêchement signalé par téléphone"},
    "OfferAnswerByOrganiser": {"accepted": True, "reason": "Au téléphone, le 12 mars"},
    "ApprovalByOrganiser": {"granted": True, "reason": "La DRH, par courrier du 12 mars"},
    "JoinByOrganiser": {"enrolment_id": "b1946ac9-2492-4d23-8cb4-1f6d7a3f0e77"},
    "MoveByOrganiser": {
        "to_session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12",
        "answers": [{"question_id": "repas", "value": "végétarien"}],
    },
    "EnrolmentByHand": {
        **{name: value for name, value in _AGENT.items() if name not in ("agent_id", "issuer")},
        "above_capacity": "Une chaise de plus a été installée",
    },
    "NewMessage": {
        "text": "Venez avec un ordinateur portable : les ateliers en ont besoin.",
        "link": "https://ressources.example.org/preparer-les-ateliers",
        "audience": ["enrolled"],
        "send_at": _LATER,
    },
    "MessagePlanned": {"message_id": _MESSAGE, "send_at": _LATER, "recipients": 118, "unreachable": 2},
    "Messages": {
        "items": [
            {
                "message_id": _MESSAGE,
                "author": "yann.legoff@cnfpt.example",
                "text": "Venez avec un ordinateur portable : les ateliers en ont besoin.",
                "link": None,
                "audience": ["enrolled"],
                "enrolment_ids": None,
                "send_at": _LATER,
                "sent_at": None,
            }
        ]
    },
    "AgentCorrection": {"email": "zoe.durand@ville-exemple.fr"},
    "Ranking": {
        "ranked": ["IEL-0048151", {"agent_id": "1001", "issuer": "sirh"}],
        "not_selected": ["IEL-0048152"],
    },
    "Selected": {"enrolled": 20, "waitlisted": 5, "refused": 3},
    "Records": {"records": [{"agent_id": "IEL-0048151", "module": 1, "attendance": "attended"}]},
    "Recorded": {"records": 1},
}
