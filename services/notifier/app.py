"""Composition root of the notifier: settings to database, broker, relay, HTTP, jobs and queue."""

from pathlib import Path

from services.notifier import api, handlers, jobs, pages, tables
from services.notifier.delivery import Deliverer
from services.notifier.mailer import Mailer
from services.notifier.render import Renderer, Sender
from services.notifier.settings import Settings
from shared.auth import Tokens
from shared.cli import Definition
from shared.database import Database
from shared.process import Process

REVISIONS = Path(__file__).parent / "migrations"


def compose(settings: Settings) -> Process:
    """Wire the service. Connects to nothing."""
    database = Database(settings.database_url, application_name="notifier")
    http = api.build(database, Tokens.load(settings.api_tokens_file))
    rendering = pages.Rendering(settings.public_url("catalogue"))
    pages.subscribing.add_to(http, database, settings.links, rendering)
    return Process(
        name="notifier",
        settings=settings,
        database=database,
        subscriptions=handlers.subscriptions,
        revisions=REVISIONS,
        api=http,
        jobs=jobs.all_jobs(database),
        workers=[deliverer(settings, database).run],
    )


def deliverer(settings: Settings, database: Database) -> Deliverer:
    """The queue's way out, with as many lanes as connections."""
    name, address = settings.sender
    return Deliverer(
        database,
        Mailer(settings.relay, size=settings.smtp_connections),
        Renderer(Sender(name, address, settings.contact, settings.public_url("catalogue")), settings.links),
        lanes=settings.smtp_connections,
        message_domain=address.rpartition("@")[2],
        per_domain=settings.smtp_per_domain,
        domain_rate=settings.smtp_domain_rate,
    )


DEFINITION = Definition(
    name="notifier",
    settings=Settings,
    compose=compose,
    metadata=tables.metadata,
    revisions=REVISIONS,
)
