"""The explanation of an answer, from the id of a request, an agent or a session."""

import re
from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import text

from services.enrolment.explanations import lines_of
from services.enrolment.rules.requests import OfferAnswer, SeatRequest, Withdrawal
from services.enrolment.service.explain import IdExplanation, explain
from shared.database import Transaction
from shared.read_log import Reading
from shared.references import reference_of
from tests.support.builders import CLOSES, an_agent
from tests.support.enrolment_on_postgres import New, PostgresSession
from tests.support.rosters import agents

READING = Reading.by_command("exploitante")


def explained(session: PostgresSession, identifier: object) -> str:
    async def find() -> Sequence[IdExplanation]:
        async with session.world.database.quiet_transaction() as tx:
            return await explain(tx, str(identifier), READING)

    explanations: Sequence[IdExplanation] = session.world.runner.run(find())
    return "\n".join(line for explanation in explanations for line in lines_of(explanation))


def says_in_order(text: str, *parts: str) -> bool:
    return re.search(".*".join(map(re.escape, parts)), text, re.DOTALL) is not None


def test_a_refusal_says_which_rule_by_which_numbers_and_when_the_request_was_received(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="none")
    session.enrol(an_agent())
    request = SeatRequest(*session.members(), an_agent(), False)
    session.ask(request)
    said = explained(session, request.request_id)
    assert says_in_order(
        said,
        f"request {request.request_id} (SeatRequest)",
        "received 2025-03-20 10:00:00.000Z",
        "refused, session_full",
        "capacity 1, enrolled 1, offered 0, waiting 0",
        "event EnrolmentRefused ",
        "published not yet",
    ), said
    assert request.agent.email not in said
    assert request.agent.family_name not in said


def test_what_another_service_answered_to_a_request_explains_it(a_session_on_postgres: New) -> None:
    """Such as a request for bespoke training, of which enrolment keeps the answers alone."""
    session, request_id = a_session_on_postgres(), uuid4()
    answers = [("accepted", None), ("rejected", "not_valid"), ("agreed", None)]

    async def keep() -> None:
        insert = text(
            "INSERT INTO request_outcome (event_id, request_id, request_source, at, state, code) "
            "VALUES (gen_random_uuid(), :request, '/portals/iel', now(), :state, :code)"
        )
        async with session.world.database.transaction() as tx:
            for state, code in answers:
                await tx.execute(insert, {"request": request_id, "state": state, "code": code})

    session.world.runner.run(keep())
    said = explained(session, request_id)
    assert said.startswith(f"request {request_id}")
    for part in ("sent by /portals/iel", ": accepted", ": rejected, not_valid", ": agreed"):
        assert part in said


def test_an_agents_explanation_goes_from_the_request_through_each_move_and_a_sessions_counts_answers(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="offer", quota_per_authority=5)
    seated, agent = agents(2)
    session.enrol(seated, agent)
    session.withdraw(seated)
    session.ask(OfferAnswer(*session.members(), agent.key, True))
    said = explained(session, agent.agent_id)
    assert says_in_order(
        said,
        *("is enrolled, version 3", "waitlisted", "before it: capacity 1, enrolled 1, offered 0, waiting 0"),
        *("offered", "after it: capacity 1, enrolled 0", "enrolled: answered yes in time"),
        *("event AgentWaitlisted", "event SeatOffered", "event AgentEnrolled", "OfferAnswer"),
    ), said
    [enrolment_id] = re.findall(r"enrolment (\S+) of", said)
    for identifier in (reference_of(UUID(enrolment_id)), enrolment_id):
        by_id = explained(session, identifier)
        assert re.findall(r"enrolment (\S+) of", by_id) == [enrolment_id]
        assert "is enrolled, version 3" in by_id
    session.now = CLOSES
    session.enrol(an_agent())
    assert says_in_order(
        explained(session, session.world.session_id),
        *("capacity 1: 1 enrolled, 0 offered; 0 waiting", "at most 5 seats for one authority"),
        *("1 SeatRequest: refused, deadline_passed", f"{agent.agent_id} enrolled: answered yes in time"),
    )
    assert explained(session, "IEL-INCONNU") == ""


def test_an_explanation_reads_no_table_but_that_of_requests_from_end_to_end(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1)
    agent, other = agents(2)
    session.enrol(agent, other)
    request = Withdrawal(*session.members(), agent.key, None)
    session.ask(request)

    async def scanned() -> list[str]:
        async with session.world.database.transaction() as tx:
            await tx.execute(text("SET LOCAL enable_seqscan = off"))
            await tx.driver.execute("DISCARD PLANS")  # those that other tests had made
            before = await _scans(tx)
            for identifier in (request.request_id, agent.agent_id, request.session_id):
                assert await explain(tx, str(identifier), READING)
            after = await _scans(tx)
        return [table for table in after if after[table] > before[table]]

    assert session.world.runner.run(scanned()) == ["request"]


async def _scans(tx: Transaction) -> dict[str, int]:
    """How often each table was read from end to end, as far as this transaction sees it."""
    found = await tx.execute(text("SELECT relname, seq_scan FROM pg_stat_xact_user_tables"))
    return {row.relname: row.seq_scan for row in found}
