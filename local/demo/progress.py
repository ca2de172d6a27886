import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]


class Progress:
    """Shows the progress. ``made_at`` is the monotonic time at which the counts had last changed."""

    def __init__(self, say: Say, began: float) -> None:
        self.say = say
        self.records = 0
        self.made_at = 0.0
        self._began = began
        self._shown = ""
        self._shown_at = 0.0
        self._terminal = sys.stdout.isatty()

    def show(self, counts: Callable[[], str], *, last: bool) -> None:
        now = time.monotonic()
        if now - self._shown_at < (0.25 if self._terminal else 3) and not last:
            return
        self._shown_at = now
        text = f"{self.records} records published, {counts()}"
        if text != self._shown:
            self.made_at = now
        line = f"{now - self._began:5.0f} s  {text}"
        if self._terminal:
            sys.stdout.write(f"\r\033[K{line}" + ("\n" if last else ""))
            sys.stdout.flush()
        elif text != self._shown:
            self.say(line)
        self._shown = text
