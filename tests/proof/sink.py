"""The mail sink of a run: writes down what it took, and keeps the links for agents who use them."""

import asyncio
import base64
import json
import quopri
import re
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from tests.proof.evidence import DeliveredLetter
from tests.support.smtp import ScriptedRelay, Taken

# The library parses a letter in 3 ms, more than a service needs to make it and send it.
_MESSAGE_ID = re.compile(rb"(?im)^Message-ID:\s*(\S+)")
_TEXT = re.compile(rb"(?s)Content-Type: text/plain.*?\r\n\r\n(.*?)\r\n--")
_CALENDAR = re.compile(rb"(?s)Content-Type: text/calendar.*?\r\n\r\n(.*?)\r\n--")
_LINK = re.compile(r"https?://\S+(/inscriptions/\w+)/\S+")
_ENTRY = re.compile(r"(?s)BEGIN:VEVENT.*?END:VEVENT")


class MailSink:
    """``links`` has the newest link to each page, by address and page, for the addresses in ``readers``."""

    def __init__(self, relay: ScriptedRelay, path: Path) -> None:
        self.relay = relay
        self.links: dict[tuple[str, str], str] = {}
        self.readers: Collection[str] = frozenset()
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
        letter = delivered_letter(mail)
        self._file.write(json.dumps(asdict(letter)) + "\n")
        if mail.recipient in self.readers:
            for found in _LINK.finditer(text_of(mail.content)):
                self.links[mail.recipient, found[1]] = found[0]


def delivered_letter(mail: Taken) -> DeliveredLetter:
    found = _MESSAGE_ID.search(mail.content)
    message_id = found[1].decode() if found else ""
    return DeliveredLetter(message_id, dict(_calendar(mail.content)), mail.recipient)


def text_of(content: bytes) -> str:
    found = _TEXT.search(content)
    return quopri.decodestring(found[1]).decode() if found else ""


def _calendar(content: bytes) -> Iterator[tuple[str, int]]:
    for part in _CALENDAR.findall(content):
        unfolded = re.sub(r"\r?\n[ \t]", "", base64.b64decode(part).decode())
        for entry in _ENTRY.findall(unfolded):
            fields = dict(re.findall(r"(?m)^(UID|SEQUENCE):(.*?)\r?$", entry))
            yield fields["UID"], int(fields["SEQUENCE"])
