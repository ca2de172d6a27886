"""The answers of portals, sent to the addresses that they gave (ADR 0072)."""

from services.enrolment.webhooks.sending import WebhookSender
from services.enrolment.webhooks.worker import WebhookWorker

__all__ = ["WebhookSender", "WebhookWorker"]
