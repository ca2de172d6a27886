"""A throw-away certificate authority, and servers that it vouches for."""

import ssl
import subprocess
from pathlib import Path

from tests.support.lacking import program

_NEW = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """An authority of its own; nobody trusts it who is not given ``file``. It ends in so many days."""

    def __init__(self, folder: Path, *, days: int = 2) -> None:
        self.file = folder / "authority.pem"
        self._key = folder / "authority.key"
        self._folder = folder
        _openssl(
            *(*_NEW, "-days", str(days), "-subj", "/CN=throw-away"),
            *("-addext", "keyUsage=critical,keyCertSign"),  # Python 3.13 refuses an authority without
            *("-keyout", str(self._key), "-out", str(self.file)),
        )

    def server(self, name: str) -> ssl.SSLContext:
        """What a server called ``name`` presents: ``IP:127.0.0.1``, ``DNS:mail.example``."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.certificate(name))
        return context

    def certificate(self, name: str) -> tuple[Path, Path]:
        """The files of the certificate of a server called ``name``, and of its key."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        _openssl(
            *(*_NEW, "-days", "2", "-subj", "/CN=server"),
            *("-addext", f"subjectAltName={name}", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-CA", str(self.file), "-CAkey", str(self._key)),
            *("-keyout", str(key), "-out", str(certificate)),
        )
        return certificate, key


def _openssl(*arguments: str) -> None:
    subprocess.run([program("openssl", package="openssl"), *arguments], check=True, capture_output=True)
