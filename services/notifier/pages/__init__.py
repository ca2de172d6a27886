from collections.abc import Mapping
from pathlib import Path

from services.notifier.pages import agent_log_ins, digests, lost_link, mail_log, staff, subscribing
from shared.web.rendering import Rendering, Sites
from shared.web.responses import BY_LINK

__all__ = ["agent_log_ins", "digests", "lost_link", "mail_log", "rendering", "staff", "subscribing"]

_TEMPLATES = Path(__file__).parents[1] / "templates" / "pages"


def rendering(sites: Sites, headers: Mapping[str, str] = BY_LINK) -> Rendering:
    return Rendering(
        _TEMPLATES,
        service="notifier",
        sites=sites,
        notice="message.html",
        headers=headers,
        form=subscribing.FORM,
    )
