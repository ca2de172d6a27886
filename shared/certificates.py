import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import Gauge

END = Gauge(
    "parcours_certificate_end_timestamp_seconds",
    "When a certificate ends; 0: its file cannot be read.",
    ["certificate"],
)

SOON = timedelta(days=21)
"""Renew a certificate this long before its end. A service keeps the old one until its restart."""


def end_of(certificate: Mapping[str, Any] | None) -> datetime | None:
    """Return None without TLS or verification."""
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def presented(by: str, certificate: Mapping[str, Any] | None) -> None:
    if (end := end_of(certificate)) is not None:
        END.labels(by).set(end.timestamp())


def forget(by: str) -> None:
    END.remove(by)


def files_of(kafka_ca_file: Path | None) -> Mapping[str, Path]:
    """``SSL_CERT_FILE`` is left out: it often has all public authorities, some of which always end soon."""
    named = {"KAFKA_CA_FILE": kafka_ca_file, "PGSSLROOTCERT": os.environ.get("PGSSLROOTCERT")}
    return {name: Path(path) for name, path in named.items() if path}


def first_end(file: Path) -> datetime:
    """Raises ``OSError`` if the file has no authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=file)
    ends = [end for certificate in context.get_ca_certs() if (end := end_of(certificate)) is not None]
    if not ends:
        raise OSError(f"{file} has no certificate of an authority")
    return min(ends)


def read_files(kafka_ca_file: Path | None) -> None:
    for name, file in files_of(kafka_ca_file).items():
        try:
            END.labels(name).set(first_end(file).timestamp())
        except OSError:
            END.labels(name).set(0)
