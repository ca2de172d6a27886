"""Where organisers begin: what waits for them today, their sessions, the week ahead."""

from starlette.responses import Response

from services.enrolment.rules.overview import waiting_tasks, week_ahead
from services.enrolment.service import overview
from shared import clock
from shared.web.logins import StaffVisit


async def today(visit: StaffVisit) -> Response:
    """Show what waits for who visits, in their sessions and in what authorities asked them for."""
    now = clock.now()
    async with visit.database.quiet_transaction() as tx:
        found = await overview.of_organiser(tx, visit.who, now)
        requests = await overview.bespoke_tasks_of(tx, visit.who)
    sessions = found[: overview.MOST]
    return visit.page(
        "manage/start.html",
        tasks=waiting_tasks(sessions, requests[: overview.MOST], now),
        coming=[numbers for numbers in sessions if numbers.session.ends_at > now],
        past=[numbers for numbers in sessions if numbers.session.ends_at <= now],
        week=week_ahead(sessions, now),
        is_cut=len(found) > overview.MOST,
        requests_are_cut=len(requests) > overview.MOST,
    )
