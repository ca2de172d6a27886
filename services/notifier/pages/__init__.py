"""HTTP in (HTML): what links of letters open, the subscription form, the mail log of support staff."""

from services.notifier.pages import mail_log, subscribing
from services.notifier.pages.rendering import Rendering

__all__ = ["Rendering", "mail_log", "subscribing"]
