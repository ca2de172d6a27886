from functools import partial

from faststream import ContextRepo

from services.enrolment import api, handlers, jobs, pages
from services.enrolment.api.feed_watch import FeedWatch
from services.enrolment.definition import DEFINITION
from services.enrolment.personal_data import REGISTER
from services.enrolment.render.certificates import Signature
from services.enrolment.rules.policy import Policy
from services.enrolment.service import erasure, sessions
from services.enrolment.service.order import PartitionCheck
from services.enrolment.settings import Settings
from services.enrolment.webhooks import WebhookWorker
from shared.auth import Tokens
from shared.database import Database
from shared.events.topics import Topic
from shared.guard import Guard
from shared.messaging import outbox
from shared.messaging.erasure import Eraser
from shared.messaging.partitions import number_of_partitions
from shared.messaging.portals.admission import Admission
from shared.messaging.portals.registry import PortalsFile
from shared.oidc import providers_of, providers_of_agents
from shared.process import Process
from shared.web import operations
from shared.web.rendering import Rendering, Sites


def compose(settings: Settings) -> Process:
    registry = PortalsFile(settings.portals_file, trial=settings.parcours_trial)
    database = Database(settings.database_url, application_name="enrolment", info={outbox.REGISTRY: registry})
    watch = FeedWatch(database)
    tokens = Tokens(settings.api_tokens_file, trial=settings.parcours_trial)
    guard = Guard(database, settings.digest_key, settings.rates)
    signature = Signature(
        settings.certificate_signatory, f"{settings.public_url('enrolment')}{pages.verification.PATH}"
    )
    http = api.build(
        database, tokens, guard, registry=registry, watch=watch, settings=settings, signature=signature
    )
    partition_check = PartitionCheck(lambda: number_of_partitions(settings, Topic.PORTAL_ENROLMENTS))
    sites = Sites.by(settings.public_url)
    pages.links.add_to(
        http,
        database,
        guard,
        settings.links,
        policy=settings.policy,
        signature=signature,
        sites=sites,
    )
    pages.agent_log_ins.add_to(http, database, guard, providers=providers_of_agents(settings), sites=sites)
    pages.officer_lists.add_to(http, database, guard, settings.links, policy=settings.policy, sites=sites)
    pages.trainer_roster.add_to(http, database, guard, settings.links, sites=sites)
    pages.verification.add_to(http, database, guard, sites=sites)
    pages.manage.add_to(
        http,
        database,
        guard,
        tokens=tokens,
        address=settings.public_url("enrolment"),
        providers=providers_of(settings),
        sites=sites,
    )
    webhooks = WebhookWorker(database, registry, watch.news, private_too=settings.parcours_trial)
    process = Process(
        name="enrolment",
        settings=settings,
        database=database,
        router=handlers.router,
        admit=Admission(registry, settings.intake_keys),
        context=ContextRepo({"policy": settings.policy, "partition_check": partition_check}),
        projections=handlers.projections(settings.policy),
        register=REGISTER,
        revisions=DEFINITION.revisions,
        api=http,
        jobs=jobs.all_jobs(database, settings, registry),
        eraser=eraser(database, registry, settings.policy),
        portals=registry,
        tokens=tokens,
        workers=[watch.run, webhooks.run],
        on_published=watch.look,
        follows=(*jobs.READS, Topic.CATALOGUE_SESSIONS),
    )
    rendering = Rendering(pages.links.TEMPLATES, service="enrolment", sites=sites, notice="message.html")
    operations.add_to(
        process,
        rendering,
        tokens=tokens,
        guard=guard,
        address=settings.public_url("enrolment"),
        providers=providers_of(settings),
    )
    process.api.router.routes.extend(rendering.ways_back("/inscriptions"))
    return process


def eraser(database: Database, registry: PortalsFile, policy: Policy) -> Eraser:
    return Eraser(
        database=database,
        router=handlers.router,
        register=REGISTER,
        portals=registry,
        reads=jobs.READS,
        ready=partial(erasure.give_up, policy=policy),
        keep=erasure.keep_numbers,
        writes=erasure.answers,
        sessions=sessions.states,
    )
