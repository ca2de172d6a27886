from services.notifier.render.letter_links import SUBSCRIBER_FOR
from services.notifier.render.renderer import Outgoing, Renderer
from services.notifier.render.sender import Sender
from services.notifier.render.writing import THEMES, WRITTEN_BY

__all__ = ["SUBSCRIBER_FOR", "THEMES", "WRITTEN_BY", "Outgoing", "Renderer", "Sender"]
