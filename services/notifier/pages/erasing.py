from dataclasses import dataclass

from starlette.responses import Response

from services.notifier.pages.staff_area import ERASURE, PEOPLE
from services.notifier.service import erasures
from shared import clock
from shared.events.fields import is_agent_id, is_issuer
from shared.events.vocabulary import AgentKey
from shared.guard import Guard
from shared.read_log import purpose_in
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.form_errors import FormError, FormErrors, sentences
from shared.web.logins import StaffVisit
from shared.web.responses import see_other


@dataclass(frozen=True, slots=True)
class ErasurePage:
    """``is_believed``: this service signs its requests, so the other services accept them."""

    guard: Guard
    is_believed: bool

    async def show(self, visit: StaffVisit) -> Response:
        typed = {name: visit.form.typed(name) for name in ("agent", "emetteur", "motif")}
        sends = visit.request.method == "POST"
        errors = _errors(typed) if sends else {}
        if sends and not errors and self.is_believed:
            return await self._meant(visit, typed)
        async with visit.database.quiet_transaction() as tx:
            states = await erasures.states(tx)
            is_asked = visit.done in {str(state.request_id) for state in states}
            if visit.done and not is_asked:
                is_asked = await erasures.is_asked_here(tx, visit.done)
        return visit.page(
            "erasure.html",
            status=422 if errors else 200,
            typed=typed,
            errors=sentences(visit.rendering, errors),
            states=states,
            services=sorted(erasures.SERVICES),
            is_believed=self.is_believed,
            requested=visit.done if is_asked else None,
            people=PEOPLE,
        )

    async def _meant(self, visit: StaffVisit, typed: dict[str, str]) -> Response:
        agent, reading = AgentKey(typed["emetteur"], typed["agent"]), await visit.read_for(typed["motif"])
        async with visit.database.transaction() as tx:
            if "confirmer" not in visit.form:
                person, others = await erasures.meant(tx, agent, reading)
                return visit.page("erasure-question.html", person=person, others=others, typed=typed)
            request_id = await erasures.request(tx, agent, clock.now(), reading)
        who = visit.who.in_security_log
        self.guard.record(visit.request, SecurityEvent.ERASURE, SecurityOutcome.OK, who)
        return see_other(f"{ERASURE}?fait={request_id}")


def _errors(typed: dict[str, str]) -> FormErrors:
    errors = {}
    if not typed["emetteur"] or not is_issuer(typed["emetteur"]):
        errors["emetteur"] = FormError("issuer")
    if not is_agent_id(typed["agent"]):
        errors["agent"] = FormError("agent_id")
    if purpose_in(typed["motif"]) is None:
        errors["motif"] = FormError("purpose")
    return errors
