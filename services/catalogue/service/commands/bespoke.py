from pydantic import Field

from services.catalogue.service.commands.command import ServiceCommand
from services.catalogue.service.commands.sessions import NewSession
from shared.events.catalogue import BespokeAnswer
from shared.events.vocabulary import Contact, Paragraph


class BespokeSession(NewSession):
    """The private session of an authority. Enrolment opens at once by default.

    The audience is not asked: the authority nominates its agents.
    """


class BespokeAnswerRequest(ServiceCommand):
    """A delegation's answer; with ``agreed``, the session that follows."""

    answer: BespokeAnswer
    advisor: Contact = Field(description="The contact of the authority at the organiser.")
    message: Paragraph | None = None
    session: BespokeSession | None = None
