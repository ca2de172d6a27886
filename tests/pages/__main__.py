"""Write the golden files of the pages anew: ``python -m tests.pages``, or of some services by name."""

import asyncio
import sys

from local.postgres import PostgresServer
from tests.pages.golden import write
from tests.pages.seen import SERVICES, visit
from tests.support.databases import migrated_databases

with PostgresServer.temporary() as server, migrated_databases(server) as databases:
    for service in sys.argv[1:] or SERVICES:
        write(asyncio.run(visit(service, databases.new)))
