import asyncio
import secrets
from functools import partial

from faststream import ContextRepo

from services.notifier import api, handlers, jobs, pages, restores
from services.notifier.definition import DEFINITION
from services.notifier.delivery.deliverer import Deliverer
from services.notifier.delivery.pool import SmtpPool
from services.notifier.delivery.returns import ReturnMailbox
from services.notifier.letters.bounces import ADDRESS_KEY, digest_of
from services.notifier.personal_data import REGISTER
from services.notifier.render import Renderer, Sender
from services.notifier.service import erasures, sessions
from services.notifier.settings import Settings
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard
from shared.http import explain_problems
from shared.messaging.erasure import Eraser
from shared.messaging.portals.admission import Admission
from shared.messaging.portals.registry import PortalsFile
from shared.oidc import providers_of, providers_of_agents
from shared.process import Process
from shared.rates import Rate
from shared.web import operations
from shared.web.links import Links, Purpose
from shared.web.rendering import Sites
from shared.web.responses import PRIVATE


def compose(settings: Settings) -> Process:
    registry = PortalsFile(settings.portals_file, trial=settings.parcours_trial)
    database = Database(
        settings.database_url, application_name="notifier", info={ADDRESS_KEY: settings.address_key}
    )
    tokens = Tokens(settings.api_tokens_file, trial=settings.parcours_trial)
    guard = Guard(database, settings.digest_key, settings.rates)
    shown = Renderer(_sender(settings), _links_to_nowhere())
    organisers = {organiser: found.organisers for organiser, found in settings.delegation_contacts.items()}
    http = api.build(database, tokens, guard, shown)
    explain_problems(http, settings.public_url("enrolment"))
    sites = Sites.by(settings.public_url)
    pages.subscribing.add_to(
        http,
        database,
        guard,
        settings.links,
        pages.rendering(sites),
        rates=pages.subscribing.SubscriptionRates(
            of_a_network=Rate.parse(settings.notifier_subscription_rate),
            of_all=Rate.parse(settings.notifier_subscriptions_rate),
        ),
    )
    pages.lost_link.add_to(
        http,
        database,
        guard,
        pages.rendering(sites),
        rate=Rate.parse(settings.notifier_subscription_rate),
        signs=settings.links is not None,
        issuers=pages.agent_log_ins.add_to(
            http,
            database,
            guard,
            settings.links,
            pages.rendering(sites),
            address=settings.public_url("notifier"),
            providers=providers_of_agents(settings),
        ),
    )
    pages.digests.add_to(
        http,
        database,
        guard,
        settings.links,
        pages.rendering(sites),
        wanted={organiser: found.digest for organiser, found in settings.delegation_contacts.items()},
    )
    pages.staff.add_to(
        http,
        database,
        pages.rendering(sites, PRIVATE),
        tokens=tokens,
        guard=guard,
        renderer=shown,
        public_url=settings.public_url("notifier"),
        providers=providers_of(settings),
        signs_requests=settings.intake_key is not None,
    )
    process = Process(
        name="notifier",
        settings=settings,
        database=database,
        router=handlers.router,
        admit=Admission(registry, settings.intake_keys),
        context=ContextRepo({"organisers": organisers}),
        projections=handlers.projections,
        register=REGISTER,
        revisions=DEFINITION.revisions,
        api=http,
        jobs=jobs.all_jobs(
            database,
            settings.delegation_contacts,
            ReturnMailbox(settings.imap_server) if settings.imap_server else None,
            settings.return_path,
        ),
        eraser=eraser(database, registry, settings.address_key),
        portals=registry,
        tokens=tokens,
        follows=erasures.READS,
        follow_seconds=5,
        workers=[partial(_deliver, settings, database)],
    )
    rendering = pages.rendering(sites, PRIVATE)
    operations.add_to(
        process,
        rendering,
        tokens=tokens,
        guard=guard,
        address=settings.public_url("notifier"),
        providers=providers_of(settings),
        lines=pages.mail_log.status_of_mails,
    )
    process.api.router.routes.extend(rendering.ways_back("/courriels"))
    return process


async def _deliver(settings: Settings, database: Database, stopping: asyncio.Event) -> None:
    """Send mails once it is certain that the database has lost none."""
    await restores.wait_until_reconciled(database, settings, stopping)
    if not stopping.is_set():
        await deliverer(settings, database).run(stopping)


def _sender(settings: Settings) -> Sender:
    name, address = settings.sender
    contacts = {
        organiser: found.contact
        for organiser, found in settings.delegation_contacts.items()
        if found.contact is not None
    }
    return Sender(name, address, settings.contact, settings.public_url("catalogue"), contacts)


def _links_to_nowhere() -> Links:
    """No other service knows the key, so the links open nothing."""
    return Links([secrets.token_hex(32)], dict.fromkeys(Purpose, "https://lien-masque.invalid"))


def deliverer(settings: Settings, database: Database) -> Deliverer:
    sender = _sender(settings)
    return Deliverer(
        database,
        SmtpPool(settings.smtp_server, size=settings.smtp_connections),
        Renderer(sender, settings.links, return_path=settings.return_path),
        workers=settings.smtp_connections,
        message_domain=sender.address.rpartition("@")[2],
        per_domain=settings.smtp_per_domain,
        domain_rate=settings.smtp_domain_rate,
    )


def eraser(database: Database, registry: PortalsFile, address_key: bytes) -> Eraser:
    return Eraser(
        database=database,
        router=handlers.router,
        register=REGISTER,
        portals=registry,
        reads=(),
        ready=erasures.until,
        writes=erasures.writes,
        digest=partial(digest_of, key=address_key),
        sessions=sessions.find,
    )
