"""A letter as a mail: text, HTML and calendar, in French, as bytes ready for the relay.

Does no I/O but reading the templates, once.
"""

from services.notifier.render.renderer import (
    SUBSCRIBER_FOR,
    Outgoing,
    Renderer,
    Sender,
)
from services.notifier.render.writing import THEMES

__all__ = ["SUBSCRIBER_FOR", "THEMES", "Outgoing", "Renderer", "Sender"]
