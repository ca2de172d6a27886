from pydantic import Field

from services.catalogue.service.commands.command import ServiceCommand
from services.catalogue.service.commands.sessions import NewSession
from shared.events.catalogue import BespokeAnswer
from shared.events.vocabulary import Contact, Paragraph


class BespokeSession(NewSession):
    """The private session of an authority. Enrolment opens at once unless it says when.

    Who may enrol is not asked: the authority's agents, whom it nominates.
    """


class BespokeAnswerRequest(ServiceCommand):
    """What a delegation answers; with ``agreed``, the session that follows."""

    answer: BespokeAnswer
    advisor: Contact = Field(description="Whom the authority writes to.")
    message: Paragraph | None = None
    session: BespokeSession | None = None
