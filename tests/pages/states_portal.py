"""The states of the example portal's pages."""

from tests.pages.served_portal import SIRET
from tests.pages.states import States, press
from tests.unit.local.portal.test_pages import SESSION

PORTAL: States = {
    "home": ("/", []),
    "an agent": ("/agents/EX-101", []),
    "a long agent": ("/agents/EX-201", []),
    "an employer": (f"/employeurs/{SIRET}", []),
    "sessions": ("/sessions", []),
    "a session": (f"/sessions/{SESSION}?agent_id=EX-101", []),
    "a session, mistakes": (f"/sessions/{SESSION}", [press("Envoyer la demande")]),
    "events": ("/evenements", []),
    "missing": ("/nulle-part", []),
}
