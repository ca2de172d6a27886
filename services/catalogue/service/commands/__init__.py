from services.catalogue.service.commands.bespoke import BespokeAnswerRequest, BespokeSession
from services.catalogue.service.commands.offers import OfferChange, OfferRequest, TermsRequest
from services.catalogue.service.commands.resources import ReplayRequest, ResourceChange, ResourceRequest
from services.catalogue.service.commands.sessions import (
    AudienceRequest,
    Cancellation,
    ModuleRequest,
    PrerequisiteRequest,
    QuestionRequest,
    ReservedSeatsRequest,
    SessionChange,
    SessionCopy,
    SessionDraft,
    TemplateRequest,
    TrainerRequest,
)

__all__ = [
    "AudienceRequest",
    "BespokeAnswerRequest",
    "BespokeSession",
    "Cancellation",
    "ModuleRequest",
    "OfferChange",
    "OfferRequest",
    "PrerequisiteRequest",
    "QuestionRequest",
    "ReplayRequest",
    "ReservedSeatsRequest",
    "ResourceChange",
    "ResourceRequest",
    "SessionChange",
    "SessionCopy",
    "SessionDraft",
    "TemplateRequest",
    "TermsRequest",
    "TrainerRequest",
]
