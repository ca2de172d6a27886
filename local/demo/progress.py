import time
from collections.abc import Callable

Say = Callable[[str], None]
_PAUSE_SECONDS = 3.0


class Progress:
    """Prints the counts every few seconds. ``made_at`` is the monotonic time of their last change."""

    def __init__(self, say: Say, began: float) -> None:
        self.say = say
        self.records = 0
        self.made_at = 0.0
        self._began = began
        self._shown = ""
        self._shown_at = 0.0

    def show(self, counts: Callable[[], str], *, last: bool) -> None:
        now = time.monotonic()
        if now - self._shown_at < _PAUSE_SECONDS and not last:
            return
        self._shown_at = now
        text = f"{self.records} records published, {counts()}"
        if text != self._shown:
            self.made_at = now
            self.say(f"{now - self._began:5.0f} s  {text}")
        self._shown = text
