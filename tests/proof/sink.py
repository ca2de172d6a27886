"""The mail sink of a run: writes down what it took, and keeps the links for agents who use them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

from tests.support.smtp import ScriptedRelay, Taken

_LINK = re.compile(r"https?://\S+(/inscriptions/\w+)/\S+")
_ENTRY = re.compile(r"(?s)BEGIN:VEVENT.*?END:VEVENT")


class MailSink:
    """``links`` has the newest link to each page, by address and page."""

    def __init__(self, relay: ScriptedRelay, path: Path) -> None:
        self.relay = relay
        self.links: dict[tuple[str, str], str] = {}
        self.taken = 0
        self._file = path.open("a", buffering=1)

    @classmethod
    @asynccontextmanager
    async def listen(cls, path: Path) -> AsyncIterator["MailSink"]:
        relay = ScriptedRelay()
        await relay.start()
        sink = cls(relay, path)
        writing = asyncio.create_task(sink._run())
        try:
            yield sink
        finally:
            writing.cancel()
            await relay.stop()
            sink.write_down()
            sink._file.close()

    def write_down(self) -> None:
        """Write what was taken since the last time."""
        taken, self.relay.taken = self.relay.taken, []
        for mail in taken:
            self._write(mail)
        self.relay.commands.clear()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.write_down()

    def _write(self, mail: Taken) -> None:
        message = mail.message
        self.taken += 1
        line = {
            "message_id": mail.message_id,
            "recipient": mail.recipient,
            "calendar": dict(_calendar(message)),
        }
        self._file.write(json.dumps(line) + "\n")
        text = message.get_body(("plain",))
        for found in _LINK.finditer(text.get_content() if text is not None else ""):
            self.links[mail.recipient, found[1]] = found[0]


def _calendar(message: EmailMessage) -> Iterator[tuple[str, int]]:
    for part in message.walk():
        if part.get_content_type() == "text/calendar":
            unfolded = re.sub(r"\r?\n[ \t]", "", str(part.get_content()))
            for entry in _ENTRY.findall(unfolded):
                fields = dict(re.findall(r"(?m)^(UID|SEQUENCE):(.*?)\r?$", entry))
                yield fields["UID"], int(fields["SEQUENCE"])
