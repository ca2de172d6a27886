"""HTTP in (HTML): what links of letters open, the subscription form, the mail log of support staff."""

from pathlib import Path

from services.notifier.pages import mail_log, subscribing
from shared.pages import Rendering

__all__ = ["mail_log", "rendering", "subscribing"]

_TEMPLATES = Path(__file__).parents[1] / "templates" / "pages"


def rendering(catalogue: str) -> Rendering:
    """What writes this service's pages. ``catalogue`` is where the public finds the sessions."""
    return Rendering(_TEMPLATES, catalogue=catalogue, form=subscribing.FORM)
