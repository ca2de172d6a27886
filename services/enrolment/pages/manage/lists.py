from collections.abc import Sequence
from functools import partial

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages import lists
from services.enrolment.pages.lists import ListAnswer, SentList
from services.enrolment.pages.manage import frame
from services.enrolment.service import enrolment_lists
from services.enrolment.service.acting import Acting
from services.enrolment.service.employers import EmployerDirectory, employers_for
from services.enrolment.service.enrolment_lists import ListedPerson, ListedResult
from services.enrolment.service.failures import NotFound
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import Question
from shared.web.logins import StaffVisit
from shared.web.sheet_queue import sender_of


async def show(visit: StaffVisit) -> Response:
    """Show the form. A POST shows what each row would do, or does it."""
    sent = SentList(
        visit.request,
        visit.form,
        visit.database,
        sender_of(visit.who),
        for_all={},
        approved="approved" in visit.form,
        known=partial(_known, visit),
        enrol=partial(_enrol, visit),
        page=partial(_page, visit),
        find_each=frame.employer_search_of(visit).find_each,
    )
    try:
        return await lists.answer(sent)
    except NotFound as failure:
        raise HTTPException(404) from failure


async def _known(visit: StaffVisit, tx: Transaction) -> tuple[Sequence[Question], EmployerDirectory]:
    session = (await frame.own_session(tx, visit)).session
    return session.questions, await employers_for(tx, visit.who, everywhere=True)


async def _enrol(
    visit: StaffVisit, tx: Transaction, people: Sequence[ListedPerson]
) -> Sequence[ListedResult]:
    acting = Acting(tx, visit.who, frame.policy_of(visit), clock.now())
    return await enrolment_lists.enrol(acting, frame.session_id_of(visit), people)


async def _page(visit: StaffVisit, answer: ListAnswer) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
    return frame.page(
        visit,
        "list.html",
        numbers,
        "participants",
        status=answer.status,
        errors=answer.errors,
        approved="approved" in visit.form,
        **answer.values(visit.form, numbers.session.questions),
    )
