"""Support's page to forget an agent: the request, typed twice, and which services have done it."""

from dataclasses import dataclass

from starlette.responses import Response

from services.notifier.pages.staff_area import ERASURE
from services.notifier.service import erasures
from shared import clock
from shared.events.fields import is_agent_id, is_issuer
from shared.events.vocabulary import AgentKey
from shared.guard import Guard
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.form_errors import FormError, FormErrors, sentences
from shared.web.links import MAIL_LOG
from shared.web.logins import StaffVisit
from shared.web.responses import see_other


@dataclass(frozen=True, slots=True)
class ErasurePage:
    """``is_believed``: requests are signed, so that all services believe them."""

    guard: Guard
    is_believed: bool

    async def show(self, visit: StaffVisit) -> Response:
        """The form, and the last hundred requests; on POST an agent is to be forgotten."""
        typed = {name: visit.form.typed(name) for name in ("agent", "emetteur", "encore")}
        sends = visit.request.method == "POST"
        errors = _errors(typed) if sends else {}
        if sends and not errors and self.is_believed:
            async with visit.database.transaction() as tx:
                await erasures.request(tx, AgentKey(typed["emetteur"], typed["agent"]), clock.now())
            who = visit.who.in_security_log
            self.guard.record(visit.request, SecurityEvent.ERASURE, SecurityOutcome.OK, who)
            return see_other(ERASURE)
        async with visit.database.quiet_transaction() as tx:
            states = await erasures.states(tx)
        return visit.page(
            "erasure.html",
            status=422 if errors else 200,
            typed=typed,
            errors=sentences(visit.rendering, errors),
            states=states,
            services=sorted(erasures.SERVICES),
            is_believed=self.is_believed,
            log=MAIL_LOG,
        )


def _errors(typed: dict[str, str]) -> FormErrors:
    errors = {}
    if not typed["emetteur"] or not is_issuer(typed["emetteur"]):
        errors["emetteur"] = FormError("issuer")
    if not is_agent_id(typed["agent"]):
        errors["agent"] = FormError("agent_id")
    if typed["encore"] != typed["agent"]:
        errors["encore"] = FormError("other_agent_id")
    return errors
