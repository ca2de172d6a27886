"""The address where an issuer ends the links that log-ins of an agent led to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import FastAPI

from services.enrolment.pages.links import rendering_for
from shared.database import Database
from shared.guard import Guard
from shared.web.logins.back_channel import BackChannel
from shared.web.logins.by_issuer import of_issuer
from shared.web.rendering import Sites

if TYPE_CHECKING:
    from shared.oidc.provider import Provider

END_BY_ISSUER = "/inscriptions/connexion/fin"
"""The ``backchannel_logout_uri`` for log-ins of agents."""


def add_to(
    api: FastAPI, database: Database, guard: Guard, *, providers: "Sequence[Provider]", sites: Sites
) -> None:
    rendering = rendering_for(sites)
    for provider in providers:
        back_channel = BackChannel(provider, guard, database)
        api.router.routes.append(back_channel.route(of_issuer(END_BY_ISSUER, provider), rendering))
