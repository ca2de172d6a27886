from services.console.findings import Finding, Mark
from services.enrolment.service import webhooks
from services.enrolment.settings import Settings
from shared.database import FAILURES, Database, is_temporary
from shared.messaging.portals.registry import Portals


async def look(settings: Settings, portals: Portals) -> list[Finding]:
    """A database that does not answer has its own line."""
    sent_to = {portal.portal for portal in portals if portal.webhook is not None}
    if not sent_to:
        return []
    database = Database(settings.database_url, application_name="doctor", pool_size=1)
    try:
        async with database.quiet_transaction() as tx:
            states = await webhooks.states(tx)
    except FAILURES as error:
        if not is_temporary(error):
            raise
        return []
    finally:
        await database.close()
    failing = [state for state in states if state.portal in sent_to and state.failing_since is not None]
    if not failing:
        return [Finding("enrolment", "webhooks", Mark.OK, "none fails")]
    return [
        Finding(
            "enrolment",
            f"webhook of {state.portal}",
            Mark.ACT,
            f"{'disabled' if state.disabled_at else 'fails'}, since {state.failing_since:%Y-%m-%dT%H:%M}Z: "
            f"{state.reason}",
            f"write to its contact; then parcours enrolment webhooks replay {state.portal}",
        )
        for state in failing
    ]
