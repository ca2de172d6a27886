"""What the benchmark of pages fills the databases with, by statements of many rows.

Each service has 5,000 sessions. 100,000 agents of two issuers have an enrolment in one of them,
:data:`BIG`, with a seat or without. The notifier has their letters.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.catalogue import tables as catalogue_tables
from services.catalogue.offer_files.reading import OFFER
from shared.database import Database
from shared.events.enrolment import AgentEnrolled
from shared.events.vocabulary import Delegation
from tests.support.builders import a_question, an_agent, open_now
from tests.support.catalogue import load

SESSIONS = 5_000
ENROLMENTS = 100_000
BIG = UUID("00000000-0000-4000-8000-000000000000")
OTHER = UUID("00000000-0000-4000-8000-000000000001")
"""A session of a hundred."""
PERSON = 42
"""The number of an agent who is in fifty other sessions."""


def agent_id(number: int) -> str:
    """The identifier of an agent."""
    return f"IEL-{number:07d}"


def address(number: int) -> str:
    """The address of an agent."""
    return f"agent-{number}@ville-exemple.fr"


def id_of(number: int) -> UUID:
    """The id of an agent's enrolment in the big session, and of the request that began it."""
    return UUID(f"e0000000-0000-4000-8000-{number:012d}")


async def fill_catalogue(database: Database) -> None:
    """Load the offer of the files, and copy its sessions over two years around today, in every seat state."""
    summary = await load(database, OFFER)
    await _run(database, *_CATALOGUE, copies=SESSIONS // summary.new)


async def fill_enrolment(database: Database) -> None:
    """Add sessions, and to one of them every kind of enrolment with requests, changes and notes."""
    session = open_now(session_id=BIG, title="La grande", capacity=None, questions=[a_question()])
    event = AgentEnrolled(
        enrolment_id=id_of(0),
        version=1,
        request_id=id_of(0),
        request_source="/portals/portail",
        session_id=BIG,
        session_version=1,
        agent=an_agent(),
    )
    await _run(
        database,
        *_SESSIONS,
        *_ENROLMENT,
        state=session.model_dump_json(),
        event=event.model_dump_json(),
        answered=AgentEnrolled.TYPE,
    )


async def fill_notifier(database: Database) -> None:
    """Add sessions, the enrolments of one of them with story and letters, and a year of figures."""
    state = open_now(session_id=BIG, title="La grande", capacity=None).model_dump_json()
    await _run(database, *_NOTIFIER_SESSIONS, *_NOTIFIER, state=state)


async def _run(database: Database, *statements: str, **values: Any) -> None:
    async with database.quiet_transaction() as tx:
        await tx.execute(text("SET LOCAL statement_timeout = 0"))
        for statement in statements:
            query = text(statement)
            wanted = query.compile().params
            await tx.execute(query, {name: value for name, value in values.items() if name in wanted})
    # In a transaction of its own, which may see that much was written.
    async with database.quiet_transaction() as tx:
        await tx.execute(text("ANALYZE"))


_DELEGATIONS = ", ".join(f"'{delegation}'" for delegation in Delegation)
_ORGANISER = f"(ARRAY[{_DELEGATIONS}])[1 + n % {len(Delegation)}]"
_UUID = "CAST('{}-0000-4000-8000-' || lpad(CAST(n AS text), 12, '0') AS uuid)"
_SESSION_ID, _ENROLMENT_ID = _UUID.format("00000000"), _UUID.format("e0000000")
_OF_PERSON = _UUID.format("e1000000")
_AGENT_ID = "'IEL-' || lpad(CAST(n AS text), 7, '0')"
_ADDRESS = "'agent-' || n || '@ville-exemple.fr'"
_GIVEN = "(ARRAY['Zoé', 'Loïc', 'Élise', 'Yann', 'Anne', 'Marc', 'Inès', 'Paul', 'Léa', 'Jean'])[1 + n % 10]"
_FAMILY = (
    "(ARRAY['Du', 'Mar', 'Le', 'Ber', 'Pe', 'Ri', 'Mo', 'Gau', 'Fa', 'Che'])[1 + n / 10 % 10] || "
    "(ARRAY['rand', 'tin', 'goff', 'nard', 'tit', 'chard', 'reau', 'thier', 'bre', 'valier'])[1 + n "
    "/ 100 % 10]"
    " || CASE WHEN n / 1000 % 5 > 0 THEN '-' || (ARRAY['Roux', 'Morel', 'Simon', 'Blanc'])[n / 1000 "
    "% 5] ELSE '' END"
)
_ISSUER = "CASE WHEN n % 10 = 7 THEN 'portail-deux' ELSE 'portail' END"
_STATE = (
    "CASE WHEN n % 100 < 58 THEN 'enrolled' WHEN n % 100 = 58 THEN 'certified' WHEN n % 100 < 90 "
    "THEN 'waitlisted' "
    "WHEN n % 1000 = 99 THEN 'offered' WHEN n % 1000 IN (199, 299, 399) THEN 'pending_selection' "
    "WHEN n % 1000 IN (499, 599) THEN 'pending_approval' WHEN n % 100 < 96 THEN 'withdrawn' ELSE "
    "'refused' END"
)
_SERIES = f"generate_series(0, {ENROLMENTS - 1}) AS n"
_WHEN = "now() - interval '9 days' + n * interval '1 second'"
_DEAD_LETTERS = (
    'INSERT INTO dead_letter (topic, partition, "offset", digest, value, headers, received_at, error, '
    "state, names) "
    "SELECT 'portal.enrolments', 0, n, '', convert_to(repeat('x', 2000), 'UTF8'), '[]', now(), "
    "'cannot be read', "
    "CASE WHEN n % 10 = 0 THEN 'parked' ELSE 'discarded' END, '{}' FROM generate_series(1, 5000) AS n"
)
_READ_LOG = (
    "INSERT INTO read_log (at, actor, role, purpose, kind, session_id) SELECT now() - n * interval "
    "'1 minute', "
    "'advisor', 'organiser', 'organisation de la session', 'roster', gen_random_uuid() FROM "
    "generate_series(1, 50000) AS n"
)
_STATE_OF_SESSION = (
    f"CAST(:state AS jsonb) || jsonb_build_object('session_id', {_SESSION_ID}, 'title', 'Session ' "
    f"|| n, 'organiser', {_ORGANISER}, "
    "'offer_id', 'offre-' || n % 40, 'capacity', 100, 'starts_at', day, 'ends_at', day + interval "
    "'7 hours', "
    "'enrolment_closes_at', day - interval '5 days', 'modules', jsonb_build_array())"
)
_OTHERS = (
    f"generate_series(1, {SESSIONS - 1}) AS n, "
    "LATERAL (SELECT now() + (n * 73 % 730 - 365) * interval '1 day' AS day) AS days"
)

_COLUMNS = [
    column.name for column in catalogue_tables.metadata.tables["session"].columns if not column.computed
]
_CATALOGUE = (
    # Their titles are found as words, and every seat state occurs.
    f"""
    INSERT INTO session ({", ".join(_COLUMNS)})
    SELECT {", ".join(f"copy.{name}" for name in _COLUMNS)}
    FROM session, LATERAL generate_series(1, :copies) AS n,
        LATERAL (SELECT now() + (n * 73 % 730 - 365) * interval '1 day' AS start) AS days,
        LATERAL jsonb_populate_record(session, jsonb_build_object(
            'session_id', gen_random_uuid(), 'reference', NULL, 'title', title || ' – ' || n,
            'announced', 3, 'next_announcement_at', NULL, 'reserved_seats', jsonb_build_array(),
            'enrolment_opens_at', start - interval '60 days', 'enrolment_closes_at',
        start - interval '5 days',
            'starts_at', start, 'ends_at', start + interval '7 hours')) AS copy""",
    """
    INSERT INTO occupancy (session_id, version, capacity, enrolled, waiting, offered)
    SELECT session_id, 1, capacity, coalesce(capacity,
        100) * (hashtext(CAST(session_id AS text)) % 3 + 2) / 4, 0, 0
    FROM session""",
    """
    INSERT INTO audit_log (actor, action, subject, version, changes)
    SELECT 'advisor', 'changed', session_id, n, jsonb_build_object() FROM session,
        generate_series(1, 5) AS n""",
    f"""
    INSERT INTO bespoke_request (bespoke_id, request_id, source, siret, authority, delegation,
        theme, trainees,
        received_at, requester_name, requester_email, version, state)
    SELECT gen_random_uuid(), gen_random_uuid(), '/portals/portail', '21350238800019',
        'Ville ' || n, {_ORGANISER},
        'IA', 12, now() - n * interval '1 hour', 'Zoé Durand', 'zoe@ville-exemple.fr', 1, 'received'
    FROM generate_series(1, 3000) AS n""",
    """
    INSERT INTO resource (resource_id, version, kind, title, url, themes, published_at, organiser)
    SELECT gen_random_uuid(), 1, 'replay', 'Replay ' || n, 'https://exemple.fr/' || n, jsonb_build_array(),
        now() - n * interval '1 hour', 'bretagne' FROM generate_series(1, 2000) AS n""",
    _DEAD_LETTERS,
    _READ_LOG,
)
_SESSIONS = (
    f"""
    INSERT INTO session (session_id, version, state, enrolled, offered, waiting, seat_ceiling, next_ticket,
        occupancy_version, enrolment_closes_at)
    SELECT {_SESSION_ID}, 1, {_STATE_OF_SESSION}, 0, 0, 0, 100, 1, 1,
        day - interval '5 days' FROM {_OTHERS}""",
    f"""
    INSERT INTO session (session_id, version, state, enrolled, offered, waiting, next_ticket,
        occupancy_version,
        enrolment_closes_at)
    VALUES ('{BIG}', 1, CAST(:state AS jsonb), 59000, 100, 31000, {ENROLMENTS + 1}, 1,
        now() + interval '20 days')""",
)
_ENROLMENT = (
    f"""
    INSERT INTO enrolment (enrolment_id, version, session_id, issuer, agent_id, agent, state,
        reason, ticket,
        hold_until, request_id, request_source, received_at, updated_at)
    SELECT {_ENROLMENT_ID}, 2, '{BIG}', {_ISSUER}, {_AGENT_ID}, jsonb_build_object('issuer', {_ISSUER},
        'agent_id', {_AGENT_ID}, 'email', {_ADDRESS}, 'given_name', {_GIVEN}, 'family_name', {_FAMILY},
        'function', 'agent', 'employer', jsonb_build_object('siret', '21350238800019',
        'name', 'Mairie de Ville ' || n / 20, 'delegation', {_ORGANISER})), state,
        CASE state WHEN 'refused' THEN 'session_full' END, CASE WHEN state <> 'refused' THEN n + 1 END,
        CASE state WHEN 'offered' THEN now() + interval '2 days' END, {_ENROLMENT_ID},
        '/portals/portail', {_WHEN},
        {_WHEN}
    FROM {_SERIES}, LATERAL (SELECT {_STATE} AS state) AS stands""",
    """
    UPDATE enrolment SET sought = regexp_replace(normalize(lower(concat_ws(' ',
        agent -> 'employer' ->> 'name', agent ->> 'family_name',
        (agent ->> 'given_name') || chr(10) || (agent ->> 'email'), agent_id)), NFD),
        '[\u0300-\u036f]', '', 'g')""",
    # Fifty other sessions of one agent, and a hundred agents in each of thirty others.
    f"""
    INSERT INTO enrolment (enrolment_id, version, session_id, issuer, agent_id, agent, state,
        ticket, request_id,
        request_source, received_at, updated_at)
    SELECT {_OF_PERSON}, 1, {_SESSION_ID}, issuer, agent_id, agent, 'enrolled', 1, {_OF_PERSON},
        '/portals/portail',
        {_WHEN}, {_WHEN}
    FROM enrolment, generate_series(2, 51) AS n WHERE enrolment_id = '{id_of(PERSON)}'""",
    f"""
    INSERT INTO enrolment (enrolment_id, version, session_id, issuer, agent_id, agent, state,
        ticket, request_id,
        request_source, received_at, updated_at)
    SELECT gen_random_uuid(), 1, '{OTHER}', issuer, agent_id, agent, 'enrolled', ticket, gen_random_uuid(),
        '/portals/portail', received_at,
        updated_at FROM enrolment WHERE session_id = '{BIG}' AND ticket <= 100""",
    """
    INSERT INTO request (request_id, source, portal, kind, session_id, issuer, agent_id,
        received_at, decided_at,
        outcome, facts)
    SELECT request_id, request_source, 'portail', 'SeatRequest', session_id, issuer, agent_id, received_at,
        received_at, state, jsonb_build_object('enrolled', 1) FROM enrolment""",
    """
    INSERT INTO enrolment_change (enrolment_id, version, session_id, issuer, agent_id, at, state,
        cause, facts)
    SELECT enrolment_id, 2, session_id, issuer, agent_id, updated_at, state, 'seat_freed',
        jsonb_build_object()
    FROM enrolment WHERE version = 2""",
    f"""
    INSERT INTO attendance (enrolment_id, module, attendance, recorded_at)
    SELECT {_ENROLMENT_ID}, 0, 'attended', now() FROM {_SERIES} WHERE n % 100 = 58""",
    f"""
    INSERT INTO arrival (enrolment_id, module, at, author)
    SELECT {_ENROLMENT_ID}, 0, now(), 'advisor' FROM {_SERIES} WHERE n % 100 < 30""",
    f"""
    INSERT INTO question_answer (enrolment_id, question_id, question, value, kept_days)
    SELECT {_ENROLMENT_ID}, 'repas', 'Que répondez-vous ?', to_jsonb(true),
        30 FROM {_SERIES} WHERE n % 2 = 0""",
    f"""
    INSERT INTO note (note_id, enrolment_id, author, text, written_at)
    SELECT gen_random_uuid(), {_ENROLMENT_ID}, 'advisor', 'À rappeler',
        now() FROM {_SERIES} WHERE n % 100 = 1""",
    f"""
    INSERT INTO bad_address (issuer, agent_id, since) SELECT {_ISSUER}, {_AGENT_ID}, now() FROM {_SERIES}
    WHERE n % 50 = 3""",
    f"""
    INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, sent_at, portal, cursor)
    SELECT n % 12, 'enrolment.decisions', {_AGENT_ID}, gen_random_uuid(), CAST(:answered AS text),
        '/services/enrolment',
        CAST(CAST(:event AS jsonb) || jsonb_build_object('enrolment_id', {_ENROLMENT_ID}) AS text), now(),
        portal, CASE WHEN portal IS NOT NULL THEN n + 1 END
    FROM {_SERIES}, LATERAL (VALUES (NULL), ('portail')) AS heard (portal)""",
    f"INSERT INTO portal_feed (portal, last) VALUES ('portail', {ENROLMENTS})",
    f"""
    INSERT INTO message (message_id, session_id, author, text, audience, send_at, created_at, published_at)
    SELECT gen_random_uuid(), '{BIG}', 'advisor', 'Bonjour', jsonb_build_array('enrolled'),
        now() - n * interval '1 day', now(), now() FROM generate_series(1, 50) AS n""",
    _DEAD_LETTERS,
    _READ_LOG,
)
_NOTIFIER_SESSIONS = (
    f"""
    INSERT INTO session (session_id, version, state)
    SELECT {_SESSION_ID}, 1, {_STATE_OF_SESSION} FROM {_OTHERS}""",
    f"INSERT INTO session (session_id, version, state) VALUES ('{BIG}', 1, CAST(:state AS jsonb))",
)
_NOTIFIER = (
    f"""
    INSERT INTO enrolment (enrolment_id, version, session_id, standing, issuer, agent_id, address,
        given_name,
        family_name, since, event_id)
    SELECT {_ENROLMENT_ID}, 2, '{BIG}', CASE WHEN n % 3 = 0 THEN 'waitlisted' ELSE 'enrolled' END,
        {_ISSUER},
        {_AGENT_ID}, {_ADDRESS}, {_GIVEN}, {_FAMILY}, {_WHEN}, {_ENROLMENT_ID}
    FROM {_SERIES}""",
    f"""
    INSERT INTO enrolment (enrolment_id, version, session_id, standing, issuer, agent_id, address,
        given_name,
        family_name, since, event_id)
    SELECT {_OF_PERSON}, 1, {_SESSION_ID}, standing, issuer, agent_id, address, given_name,
        family_name, {_WHEN},
        {_OF_PERSON}
    FROM enrolment, generate_series(2, 51) AS n WHERE enrolment_id = '{id_of(PERSON)}'""",
    """
    INSERT INTO timeline (event_id, at, version, kind, issuer, agent_id, enrolment_id, session_id)
    SELECT gen_random_uuid(), since, n, CASE n WHEN 1 THEN 'waitlisted' ELSE 'enrolled' END,
        issuer, agent_id,
        enrolment_id, session_id FROM enrolment, generate_series(1, 2) AS n""",
    """
    INSERT INTO mail (event_id, template, issuer, recipient, address, given_name, family_name, session_id,
        enrolment_id, version, details, needs_session, priority, called_for_at, created_at, state,
        message_id,
        settled_at)
    SELECT event_id, template, issuer, agent_id, address, given_name, family_name, session_id,
        enrolment_id, 1,
        jsonb_build_object('position', 3), true, 1, since, since,
        CASE WHEN template = 'waitlisted' OR right(agent_id, 3) > '010' THEN 'sent'
            WHEN right(agent_id, 3) = '001' THEN 'failed' WHEN right(agent_id, 3) = '002' THEN 'ambiguous'
            WHEN right(agent_id, 3) = '003' THEN 'retry' ELSE 'pending' END,
        CAST(enrolment_id AS text) || '@parcours.example', since
    FROM enrolment, LATERAL (VALUES ('enrolment-confirmed'), ('waitlisted')) AS letter (template)""",
    """
    INSERT INTO mail_attempt (mail_id, number, at, state, code, answer)
    SELECT mail_id, 1, created_at, 'sent', 250, 'OK' FROM mail WHERE state = 'sent'""",
    f"""
    INSERT INTO figure (month, offer_id, organiser, kind, reason, number)
    SELECT CAST(date_trunc('month', now()) - month * interval '1 month' AS date),
        'offre-' || offer, organiser,
        kind, '', 1000
    FROM generate_series(0, 11) AS month, generate_series(0, 9) AS offer,
        unnest(ARRAY[{_DELEGATIONS}]) AS organiser,
        unnest(ARRAY['asked', 'enrolled', 'waitlisted', 'withdrawn', 'attended', 'letters']) AS kind""",
    "INSERT INTO figure_progress (id, counted_until) VALUES (1, now())",
    """
    INSERT INTO subscriber (subscriber_id, address, given_name, family_name)
    SELECT gen_random_uuid(), 'lecteur-' || n || '@exemple.fr', '', '' FROM generate_series(1,
        50000) AS n""",
    _DEAD_LETTERS,
    _READ_LOG,
)
