from services.catalogue import api, handlers, jobs, pages
from services.catalogue.definition import DEFINITION
from services.catalogue.personal_data import REGISTER
from services.catalogue.service import bespoke, sessions
from services.catalogue.settings import Settings
from shared import clock
from shared.auth import Tokens
from shared.database import Database, Transaction
from shared.events.topics import Topic
from shared.guard import Guard
from shared.http import explain_problems
from shared.messaging.erasure import Eraser
from shared.messaging.portals.admission import Admission
from shared.messaging.portals.registry import PortalsFile
from shared.oidc import providers_of
from shared.personal_data import Subject
from shared.process import Process
from shared.retention_settings import kept_days
from shared.web import operations
from shared.web.rendering import TEMPLATES, Rendering, Sites

READS = (Topic.PORTAL_BESPOKE,)
"""The topics to be read before an agent is erased: a rejected nomination names agents."""


def compose(settings: Settings) -> Process:
    registry = PortalsFile(settings.portals_file, trial=settings.parcours_trial)
    database = Database(settings.database_url, application_name="catalogue")
    tokens = Tokens(settings.api_tokens_file, trial=settings.parcours_trial)
    guard = Guard(database, settings.digest_key, settings.rates)
    web = api.build(database, tokens, guard)
    explain_problems(web, settings.public_url("enrolment"))
    pages.mount(
        web,
        pages.build(
            pages.Site(
                database=database,
                tokens=tokens,
                guard=guard,
                address=settings.public_url("catalogue"),
                providers=providers_of(settings),
                portal=settings.portal_url,
                contact=settings.public_contact,
                publisher=pages.Publisher(
                    name=settings.publisher,
                    address=settings.publisher_address,
                    phone=settings.publisher_phone,
                    director=settings.publication_director,
                    host=settings.hosting_provider,
                    host_address=settings.hosting_address,
                    host_phone=settings.hosting_phone,
                    data_protection=settings.dpo_contact,
                ),
                organisation=settings.training_organisation,
                kept_days=kept_days(settings),
                sites=Sites.by(settings.public_url),
            )
        ),
    )
    process = Process(
        name="catalogue",
        settings=settings,
        database=database,
        router=handlers.router,
        admit=Admission(registry, settings.intake_keys),
        projections=handlers.projections,
        register=REGISTER,
        revisions=DEFINITION.revisions,
        api=web,
        jobs=jobs.all_jobs(database),
        eraser=eraser(database, registry),
        portals=registry,
        tokens=tokens,
        follows=READS,
        follow_seconds=5,
    )
    operations.add_to(
        process,
        Rendering(TEMPLATES, sites=Sites.by(settings.public_url)),
        tokens=tokens,
        guard=guard,
        address=settings.public_url("catalogue"),
        providers=providers_of(settings),
    )
    return process


def eraser(database: Database, registry: PortalsFile) -> Eraser:
    return Eraser(
        database=database,
        router=handlers.router,
        register=REGISTER,
        portals=registry,
        reads=READS,
        leave=_leave,
    )


async def _leave(tx: Transaction, subject: Subject) -> None:
    await sessions.without_trainer(tx, subject.addresses, clock.now())
    await bespoke.close_of(tx, subject.addresses, subject.until)
