"""The HTTP API of each service, composed without a database."""

import functools
from typing import Any

from fastapi import FastAPI

from services.catalogue import api as catalogue
from services.enrolment.app import compose
from services.enrolment.settings import Settings
from services.notifier import api as notifier
from shared.auth import Tokens
from tests.conftest import settings_of
from tests.support.guards import NOWHERE, a_guard
from tests.unit.notifier.builders import a_renderer


@functools.cache
def apis() -> dict[str, FastAPI]:
    """Return the API of each service. To compose them takes half a second, too long for an import."""
    settings = settings_of("enrolment", "postgresql://x@localhost/x", "x:1")
    given: dict[str, Any] = {name.lower(): value for name, value in settings.items()}
    return {
        "catalogue": catalogue.build(NOWHERE, Tokens(), a_guard()),
        "enrolment": compose(Settings(**given)).api,
        "notifier": notifier.build(NOWHERE, Tokens(), a_guard(), a_renderer()),
    }
