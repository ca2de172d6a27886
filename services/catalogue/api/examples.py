from typing import Any

_SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
_RESOURCE = "7d1b0c3f-5c55-4c5a-9d7a-2f6f1f0e9a10"
_NOON = "2026-11-25T12:00:00Z"
_DATES = {
    "enrolment_opens_at": "2027-01-11T08:00:00Z",
    "enrolment_closes_at": "2027-03-01T23:00:00Z",
    "starts_at": "2027-03-08T08:30:00Z",
    "ends_at": "2027-03-08T16:00:00Z",
}
_TITLE = "L’intelligence artificielle et les territoires"
_REPLAY = "https://replays.example.fr/ia-et-territoires"
_RESOURCE_TEXTS = {"title": "Replay : l’IA au service des communes", "url": _REPLAY, "themes": ["enjeux-ia"]}
_ADVISOR = {"name": "Claire Le Gall", "email": "claire.legall@cnfpt.example"}

EXAMPLES: dict[str, Any] = {
    "OfferBody": {
        "offer_id": "ia-et-territoires",
        "format": "local_event",
        "title": _TITLE,
        "summary": "Une journée dans chaque délégation.",
        "themes": ["enjeux-ia"],
        "terms": {"timezone": "Europe/Paris", "waiting_list": "offer", "offer_hold_hours": 48},
        "source": "communique",
        "choices": ["terms"],
    },
    "OfferRequest": {
        "offer_id": "ia-et-finances",
        "format": "webinar",
        "title": "L’IA au service des finances locales",
        "summary": "Une heure, des exemples de communes, et vos questions.",
        "themes": ["enjeux-ia"],
        "terms": {"capacity": 300, "closes_days_before": 1},
    },
    "OfferChange": {"summary": "Deux heures, des exemples de communes.", "terms": {"capacity": 200}},
    "SessionBody": {
        "session_id": _SESSION,
        "version": 3,
        "offer_id": "ia-et-territoires",
        "format": "local_event",
        "title": _TITLE,
        "status": "published",
        "phase": "upcoming",
        "enrolment": "open",
        **_DATES,
        "timezone": "Europe/Paris",
        "modules": [],
        "capacity": 40,
        "waiting_list": "automatic",
        "organiser": "bretagne",
        "venue": "Rennes, 2 rue du Test",
        "occupancy": None,
    },
    "SessionDraft": {
        "offer_id": "ia-et-territoires",
        **_DATES,
        "capacity": 40,
        "venue": "Rennes, 2 rue du Test",
        "organiser": "bretagne",
    },
    "SessionChange": {"capacity": 60, "venue": "Rennes, salle des fêtes"},
    "Cancellation": {"reason": "La salle n’est plus disponible ; une autre date sera proposée."},
    "SessionCopy": {"starts_at": "2027-05-10T07:30:00Z"},
    "HistoryBody": {
        "at": _NOON,
        "actor": "advisor-bretagne",
        "action": "changed",
        "version": 3,
        "changes": {"capacity": [40, 60]},
    },
    "ResourceRequest": {**_RESOURCE_TEXTS, "kind": "dossier"},
    "ReplayRequest": {**_RESOURCE_TEXTS, "session_id": _SESSION},
    "ResourceChange": {"title": "Replay : l’IA au service des communes rurales"},
    "ResourceBody": {
        "resource_id": _RESOURCE,
        "version": 1,
        "kind": "replay",
        **_RESOURCE_TEXTS,
        "summary": None,
        "published_at": _NOON,
        "organiser": "bretagne",
        "session_id": _SESSION,
        "source": None,
    },
    "BespokeBody": {
        "bespoke_id": "5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11",
        "request_id": "5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11",
        "version": 1,
        "state": "received",
        "siret": "21350238800019",
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "theme": "enjeux-ia",
        "trainees": 12,
        "received_at": _NOON,
        "wished_from": None,
        "wished_until": None,
        "requester": {"name": "Nadia Renard", "email": "formation@ville-exemple.fr"},
        "message": "Pour nos agents d’accueil.",
        "answered_at": None,
        "advisor": None,
        "answer": None,
        "session_id": None,
    },
    "BespokeAnswerRequest": {
        "answer": "qualified",
        "advisor": _ADVISOR,
        "message": "Nous étudions votre demande.",
    },
    "ImportReport": {
        "dry_run": True,
        "rows": 2,
        "faults": [],
        "created": [],
        "lines": [
            {"line": 2, "outcome": "created", "session_id": None, "reference": "BRE-2027-014", "changed": []},
            {
                "line": 3,
                "outcome": "changed",
                "session_id": _SESSION,
                "reference": "BRE-2027-012",
                "changed": ["venue"],
            },
        ],
    },
}
