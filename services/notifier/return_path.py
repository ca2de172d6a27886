import hashlib
import hmac
import re
from uuid import UUID

LONGEST_RETURN = 18
"""Characters before the @ of the mailbox.

With ``+``, id and code, the local part has 64 octets at most (RFC 5321, 4.5.3.1.1).
"""


class ReturnPath:
    """The address for reports about each mail: ``retours+<id>-<code>@cnfpt.example`` (VERP).

    ``address`` must accept a ``+`` detail. The last of ``keys`` makes the codes; codes of all keys are
    accepted.
    """

    def __init__(self, address: str, keys: list[str]) -> None:
        self._local, _, self._domain = address.rpartition("@")
        self._keys = [key.encode() for key in keys]
        self._ours = re.compile(
            rf"{re.escape(self._local)}\+([0-9a-f]{{32}})-([0-9a-f]{{12}})@{re.escape(self._domain)}",
            re.IGNORECASE,
        )

    def of(self, mail_id: UUID) -> str:
        return f"{self._local}+{mail_id.hex}-{self._codes(mail_id.hex)[-1]}@{self._domain}"

    def read(self, text: str) -> UUID | None:
        for found in self._ours.finditer(text):
            codes = self._codes(found[1].lower())
            if any(hmac.compare_digest(found[2].lower(), code) for code in codes):
                return UUID(found[1])
        return None

    def _codes(self, mail_id: str) -> list[str]:
        about = b"return path " + mail_id.encode()
        return [hmac.new(key, about, hashlib.sha256).hexdigest()[:12] for key in self._keys]
