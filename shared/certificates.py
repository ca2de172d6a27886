"""Until when certificates are valid: those of files that settings name, and those that servers presented."""

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
"""Before its end a certificate is to be renewed: services that are not restarted keep the old one."""


def end_of(certificate: Mapping[str, Any] | None) -> datetime | None:
    """Return when a certificate of ``getpeercert`` ends; None: there is no TLS, or it is not verified."""
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def presented(by: str, certificate: Mapping[str, Any] | None) -> None:
    """Have the metrics say until when the certificate is valid that a server presented on a connection."""
    if (end := end_of(certificate)) is not None:
        END.labels(by).set(end.timestamp())


def forget(by: str) -> None:
    """Have the metrics say nothing any more of what a server presented."""
    END.remove(by)


def files_of(kafka_ca_file: Path | None) -> Mapping[str, Path]:
    """Return the files of authorities, by the names of their settings: Kafka's, and that of the database.

    ``SSL_CERT_FILE`` is none of them: often it has all public authorities, of which some end at any time.
    """
    named = {"KAFKA_CA_FILE": kafka_ca_file, "PGSSLROOTCERT": os.environ.get("PGSSLROOTCERT")}
    return {name: Path(path) for name, path in named.items() if path}


def first_end(file: Path) -> datetime:
    """Return when the first authority of a file ends. Raises ``OSError`` where it has none, or is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=file)
    ends = [end for certificate in context.get_ca_certs() if (end := end_of(certificate)) is not None]
    if not ends:
        raise OSError(f"{file} has no certificate of an authority")
    return min(ends)


def read_files(kafka_ca_file: Path | None) -> None:
    """Have the metrics say until when the authorities are valid that the settings name."""
    for name, file in files_of(kafka_ca_file).items():
        try:
            END.labels(name).set(first_end(file).timestamp())
        except OSError:
            END.labels(name).set(0)
