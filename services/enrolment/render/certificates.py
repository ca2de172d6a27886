"""The certificate of attendance as PDF/A-2a (archives) and PDF/UA-1 (accessibility), in French.

The template never evaluates a text as markup, so a name can have any character.
"""

import asyncio
import functools
import io
import re
import unicodedata
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.enrolment.render import TEMPLATES, Texts
from services.enrolment.rules.certificates import written
from services.enrolment.rules.enrolments import Enrolment
from shared import qr_codes
from shared.events.catalogue import SessionState
from shared.references import reference_of
from shared.web import french, labels

_LONGEST_WORD = 24
"""Characters that fit into the narrowest column. Longer words may break there."""
_LONGEST_FILE_NAME = 80


@dataclass(frozen=True, slots=True)
class AttendedModule:
    title: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Certificate:
    """``modules`` is empty if the agent attended the whole session.

    ``organiser`` is a code of ``Delegation``. ``issued_at`` is when the certificate leaves.
    """

    reference: str
    given_name: str
    family_name: str
    employer: str
    session_title: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    venue: str | None
    modules: tuple[AttendedModule, ...]
    organiser: str
    issued_at: datetime
    code: str

    @property
    def hours(self) -> timedelta | None:
        """Return None if unknown."""
        if self.modules:
            return sum((module.ends_at - module.starts_at for module in self.modules), timedelta())
        length = self.ends_at - self.starts_at
        return length if length < timedelta(days=1) else None

    @property
    def file_name(self) -> str:
        return f"attestation-{self.reference}.pdf"

    @property
    def file_name_for_organisers(self) -> str:
        letters = unicodedata.normalize("NFKD", f"{self.family_name} {self.given_name}").encode(
            "ascii", "ignore"
        )
        name = "-".join(re.findall("[a-z0-9]+", letters.decode().lower()))[:_LONGEST_FILE_NAME]
        return f"{name}-{self.reference}.pdf" if name else f"{self.reference}.pdf"


@dataclass(frozen=True, slots=True)
class Signature:
    """The signatory of certificates and the address for verification.

    If ``signatory`` is empty, the organiser signs.
    """

    signatory: str
    verified_at: str


def certificate_of(
    enrolment: Enrolment, session: SessionState, attended: Collection[int], recorded_at: datetime, code: str
) -> Certificate:
    agent = enrolment.agent
    return Certificate(
        reference=str(enrolment.enrolment_id),
        given_name=agent.given_name,
        family_name=agent.family_name,
        employer=agent.employer.name,
        session_title=session.title,
        starts_at=session.starts_at,
        ends_at=session.ends_at,
        timezone=session.timezone,
        venue=session.venue,
        modules=tuple(
            AttendedModule(module.title, module.starts_at, module.ends_at)
            for number, module in enumerate(session.modules)
            if number in attended
        ),
        organiser=session.organiser,
        issued_at=session.certificate_leaves_at(recorded_at),
        code=code,
    )


async def pdf_of(certificate: Certificate, signature: Signature) -> bytes:
    return await asyncio.to_thread(render, certificate, signature)


async def zip_of(certificates: Sequence[Certificate], signature: Signature) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:  # PDFs are already compressed
        for certificate in certificates:
            issued_at = certificate.issued_at.astimezone(ZoneInfo(certificate.timezone))
            entry = zipfile.ZipInfo(certificate.file_name_for_organisers, issued_at.timetuple()[:6])
            archive.writestr(entry, await pdf_of(certificate, signature))
    return written.getvalue()


def render(certificate: Certificate, signature: Signature) -> bytes:
    from services.enrolment.render.typesetting import typeset  # noqa: PLC0415 most processes never need this library

    return typeset(_template(), "certificate", texts_of(certificate, signature), certificate.issued_at)


def texts_of(certificate: Certificate, signature: Signature) -> Texts:
    zone = certificate.timezone
    modules = [
        [breakable(module.title), french.period(module.starts_at, module.ends_at, zone), _length(module)]
        for module in certificate.modules
    ]
    organiser = french.capitalised(labels.organiser(certificate.organiser))
    return {
        "title": certificate.session_title,
        "organiser": organiser,
        "name": breakable(f"{certificate.given_name} {certificate.family_name}"),
        "employer": breakable(certificate.employer),
        "session": breakable(certificate.session_title),
        "when": french.period(certificate.starts_at, certificate.ends_at, zone),
        "venue": breakable(certificate.venue) if certificate.venue else None,
        "modules": modules,
        "total": None if certificate.hours is None else french.hours(certificate.hours),
        "issued_on": french.day(certificate.issued_at.astimezone(ZoneInfo(zone))),
        "reference": reference_of(UUID(certificate.reference)),
        "code": written(certificate.code),
        "qr": qr_codes.svg_file(f"{signature.verified_at}/{written(certificate.code)}"),
        "verified_at": breakable(signature.verified_at),
        "signatory": breakable(signature.signatory or organiser),
    }


def _length(module: AttendedModule) -> str:
    return french.hours(module.ends_at - module.starts_at)


@functools.cache
def _template() -> bytes:
    return (TEMPLATES / "attestation.typ").read_bytes()


def breakable(text: str) -> str:
    """Allow breaks inside words that would not fit on the page."""
    return _UNBROKEN.sub("\\g<0>\u200b", text)


_UNBROKEN = re.compile(rf"\S{{{_LONGEST_WORD}}}(?=\S)")
