"""What every process looks up again and again: it must cost the same however many rows have ended."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from shared.database import Rows, Transaction
from shared.process import Process
from shared.process.jobs import housekeeping

OFTEN_SECONDS = 10.0
ROWS = 4_000

OUTBOX = """
    INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, created_at, sent_at, held)
    SELECT number % 8, 'topic', 'key', gen_random_uuid(), 'type', 'source', repeat('x', 200), now(),
           CASE WHEN number % 400 = 0 THEN NULL ELSE now() END,
           CASE number % 800 WHEN 0 THEN 'waiting' END
      FROM generate_series(1, :rows) AS number"""
DEAD_LETTERS = """
    INSERT INTO dead_letter (topic, partition, "offset", digest, headers, received_at, error, state)
    SELECT 'topic', 0, number, '', '[]', now(), repeat('x', 200),
           CASE WHEN number % 400 = 0 THEN 'parked' ELSE 'discarded' END
      FROM generate_series(1, :rows) AS number"""
REQUESTS = """
    INSERT INTO request (request_id, source, kind, session_id, received_at, decided_at)
    SELECT gen_random_uuid(), '', 'SeatRequest', gen_random_uuid(), now(), now()
      FROM generate_series(1, :rows) AS number"""
SEATS = """
    INSERT INTO enrolment (enrolment_id, version, session_id, issuer, agent_id, agent, state, hold_until,
                           request_id, request_source, received_at, updated_at)
    SELECT gen_random_uuid(), 1, gen_random_uuid(), 'iel', number, '{}',
           CASE number % 400 WHEN 0 THEN 'offered' WHEN 1 THEN 'pending_approval' ELSE 'enrolled' END,
           now() + interval '1 hour', gen_random_uuid(), '', now(), now()
      FROM generate_series(1, :rows) AS number"""
STANDINGS = """
    INSERT INTO enrolment (enrolment_id, version, session_id, standing, issuer, agent_id, address,
                           given_name, family_name, event_id)
    SELECT gen_random_uuid(), 1, gen_random_uuid(), 'enrolled', 'iel', number, 'a@exemple.fr', 'A', 'B',
           gen_random_uuid()
      FROM generate_series(1, :rows) AS number"""
MAILS = """
    INSERT INTO mail (event_id, template, issuer, recipient, address, given_name, family_name, version,
                      details, needs_session, priority, called_for_at, due_at, state, owner, lease_until)
    SELECT gen_random_uuid(), 'enrolment-confirmed', 'iel', number, 'a@exemple.fr', 'A', 'B', 1,
           '{}', false, 1, now(), now() + interval '1 hour',
           CASE number % 400 WHEN 0 THEN 'pending' WHEN 1 THEN 'ambiguous' WHEN 2 THEN 'data_started'
                             ELSE 'sent' END, gen_random_uuid(), now() + interval '1 hour'
      FROM generate_series(1, :rows) AS number"""
FILLED = {
    "catalogue": {"outbox": OUTBOX, "dead_letter": DEAD_LETTERS},
    "enrolment": {"outbox": OUTBOX, "dead_letter": DEAD_LETTERS, "request": REQUESTS, "enrolment": SEATS},
    "notifier": {"outbox": OUTBOX, "dead_letter": DEAD_LETTERS, "enrolment": STANDINGS, "mail": MAILS},
}
"""The tables that grow with the years, of each service, with rows most of which have ended."""


async def test_no_job_of_every_ten_seconds_reads_a_table_whole_that_grows_with_the_years(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = FILLED[process.name]
    async with process.database.transaction() as tx:
        for table, statement in filled.items():
            await tx.execute(text(statement), {"rows": ROWS})
            await tx.execute(text(f"ANALYZE {table}"))
    read_whole: dict[str, set[str]] = {}
    looked_at: set[str] = set()
    running = ""

    async def look(tx: Transaction, statement: TextClause, params: Mapping[str, Any]) -> Rows:
        """In the transaction of the statement: Postgres counts the scans of a transaction."""
        async with tx.savepoint() if tx.driver.is_in_transaction() else tx.driver.transaction():
            rows = await fetch(tx, statement, params)
            found = await tx.driver.fetch("SELECT relname FROM pg_stat_xact_user_tables WHERE seq_scan > 0")
        looked_at.add(running)
        if whole := filled.keys() & {name for (name,) in found}:
            read_whole[running] = whole
        return rows

    fetch = Transaction._fetch
    monkeypatch.setattr(Transaction, "_fetch", look)
    kept = housekeeping(process.database, process.router, process.register, process.settings)
    often = [job for job in (*process.jobs, *kept) if job.every <= OFTEN_SECONDS]
    for job in often:
        running = job.name
        await job.run()
    assert "measure" in looked_at
    assert read_whole == {}
