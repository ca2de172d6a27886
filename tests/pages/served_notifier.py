"""A notifier with some letters, persons, subscriptions and a dead letter, for its pages in a real browser."""

import hashlib
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.notifier.app import compose
from services.notifier.letters import digest_id
from services.notifier.settings import Settings
from services.notifier.store import figures
from shared import clock
from shared.events.catalogue import ResourcePublished, SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused, EnrolmentWithdrawn
from shared.events.outcomes import RejectionCode
from shared.events.portal import SubscriptionChanged
from shared.events.vocabulary import FieldProblem
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.messaging.portals.admission import Rejected
from shared.web.links import Purpose
from tests.conftest import settings_of
from tests.integration.enrolment.conftest import INTAKE_KEY
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import corrected
from tests.support.consuming import a_record
from tests.support.smtp import ScriptedRelay
from tests.unit.notifier.builders import a_decision, a_session, an_agent

ADDRESS = "a-1@ville.example"

TOKEN, ADMIN_TOKEN = "assistance", "exploitation"
LOG = "/courriels/suivi"
ENROLMENT = "/services/enrolment"
LONG_NAME = "Villemarqué-Trémargat-de-Kergrist-Moëlou"
"""As long as a name gets."""


@asynccontextmanager
async def notifier(url: str, folder: Path, address: str) -> AsyncIterator[tuple[Any, dict[Purpose, str]]]:
    """The service on this database: letters that wait and one that left, a subscriber's links."""
    tokens_file = folder / "tokens.json"
    entries = [
        {"name": token, "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}
        for token, role in ((TOKEN, "support"), (ADMIN_TOKEN, "admin"))
    ]
    tokens_file.write_text(json.dumps(entries))
    given = settings_of("notifier", url, "localhost:1") | {"PUBLIC_BASE_URL": address}
    settings = Settings.model_validate(
        {name.lower(): value for name, value in given.items()}
        | {"api_tokens_file": tokens_file, "intake_signing_key": INTAKE_KEY}
        | {"delegation_contacts": {"bretagne": {"digest": [ADDRESS]}}}
        | {"oidc_issuer": "https://compte.example", "oidc_client_id": "parcours"}
        | {"oidc_client_secret": "secret", "oidc_agents": True}
    )
    process = compose(settings)
    await fill(Notifier(process.database, ScriptedRelay()))
    async with process.database.quiet_transaction() as tx:
        subscriber = await tx.scalar(text("SELECT subscriber_id FROM subscriber"))
        request = await tx.scalar(text("SELECT request_id FROM subscription_request"))
    assert settings.links is not None
    mark = settings.links.mark(ADDRESS)
    subjects = {
        Purpose.PREFERENCES: (subscriber, mark),
        Purpose.UNSUBSCRIBE: (subscriber,),
        Purpose.CONFIRM: (request,),
        Purpose.CONFIRM_LOG_IN: (request,),
        Purpose.DIGEST: (digest_id("bretagne"), mark),
    }
    until = clock.now() + timedelta(hours=1)
    links = {
        purpose: f"{purpose.value}/{settings.links.token(purpose, *map(str, what), until=until)}"
        for purpose, what in subjects.items()
    }
    yield process.api, links
    await process.database.close()


async def fill(notifier: Notifier) -> None:
    ids = map(UUID, (f"{number:032x}" for number in itertools.count(1)))  # which decide the order of equals
    community = {
        "resource_id": next(ids),
        "version": 1,
        "kind": "community",
        "title": "E-communauté : ressources humaines",
        "url": "https://ressources.example/1",
        "themes": ["evolution-des-metiers"],
        "published_at": clock.now(),
    }
    await notifier.hear(ResourcePublished.model_validate(community))
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    yann = an_agent(agent_id="1002", given_name="Yann", email="yann@ville-exemple.fr")
    for enrolment_id in (left := next(ids), next(ids)):  # the same letter within a minute
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=enrolment_id, agent=yann))
    await notifier.hear(corrected(None, yann.key, given_name="Yann", corrected_by="support"))
    await notifier.hear(a_decision(EnrolmentWithdrawn, enrolment_id=left, agent=yann, version=2))
    await notifier.hear(
        a_decision(EnrolmentRefused, enrolment_id=next(ids), agent=yann, reason="session_full")
    )
    long = an_agent(
        agent_id="1003", given_name=LONG_NAME, family_name=LONG_NAME, email="maxence@ville.example"
    )
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=next(ids), agent=long))
    await notifier.change("UPDATE mail SET state = 'sent', settled_at = now() WHERE recipient = '1003'")
    rose = an_agent(agent_id="1004", given_name="Rose", family_name="Martin", email=ADDRESS)
    await notifier.hear(
        a_decision(EnrolmentRefused, enrolment_id=next(ids), agent=rose, reason="session_full")
    )
    ambiguous = "UPDATE mail SET state = 'ambiguous', message_id = '<1@parcours.example>'"
    await notifier.change(f"{ambiguous} WHERE recipient = '1004'")
    await notifier.hear(
        SubscriptionChanged(agent_id="A-1", email=ADDRESS, subscribed=True, community="evolution-des-metiers")
    )
    async with notifier.database.transaction() as tx:
        await figures.count(tx, timedelta(0))
        unreadable = replace(a_record(a_decision(AgentEnrolled)), headers=())
        await dead_letters.park(tx, [Parked(unreadable, None, "the attribute ce_id is missing")])
        for offset in (1, 2):
            failed = a_record(a_decision(AgentEnrolled, enrolment_id=next(ids)), next(ids), source=ENROLMENT)
            record = replace(failed, offset=offset)
            await dead_letters.park(
                tx, [Parked(record, AgentEnrolled.TYPE, "the database was upgraded", "Traceback", next(ids))]
            )
        unsubscribing = SubscriptionChanged(agent_id="1002", email="yann@ville-exemple.fr", subscribed=False)
        no_interest = FieldProblem(pointer="/theme", message="Field required")
        await dead_letters.keep_rejected(
            tx,
            [
                Rejected(
                    a_record(unsubscribing),
                    RejectionCode.INVALID,
                    (no_interest,),
                    "iel",
                    next(ids),
                    unsubscribing.TYPE,
                )
            ],
        )
    await notifier.change(
        "INSERT INTO subscription_request (request_id, address, interests) "
        "VALUES (gen_random_uuid(), 'b@ville.example', '{delegation:bretagne}')"
    )
