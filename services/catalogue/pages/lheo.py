"""The offer in LHEO 2.3, the French language for training offers (http://lheo.gouv.fr/2.3).

A ``formation`` is an offer, an ``action`` one of its sessions: LHEO gives the place, the audience and whether
the training is at a distance to the action. An offer without a session to come is left out, because LHEO
requires one. For what LHEO requires and no organiser is asked it has ``non précisé``, or its code for "not
told".
"""

import re
import textwrap
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from xml.sax.saxutils import escape

from services.catalogue.pages.described import DescribedPlace, DescribedSession, described, last_day
from services.catalogue.pages.site import Site
from services.catalogue.rules.availability import Access, availability
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.settings import TrainingOrganisation
from shared.events.catalogue import Prerequisite
from shared.web import labels
from shared.web.rendering import Rendering

NAMESPACE = "http://lheo.gouv.fr/2.3"

_NO, _IN_A_GROUP, _LEVEL_NOT_TOLD, _FIXED_DATES = "0", "1", "0", "0"
_ON_SITE, _AT_A_DISTANCE = "0", "2"
_RECRUITS, _RECRUITS_NO_MORE, _RECRUITS_LATER = "1", "2", "3"
_LINE = 50
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_NOT_PLAIN = re.compile(f'[&<>"]|{_NOT_XML}')


class LheoWriter:
    def __init__(
        self, site: Site, organisation: TrainingOrganisation, rendering: Rendering, now: datetime
    ) -> None:
        self._site = _escaped(site.address)
        self._now = now
        self._audience: Callable[..., str] = rendering.module("phrases.html").audience
        address = _of(
            "adresse",
            _text("denomination", organisation.name),
            *_lines(organisation.street, 4),
            _text("codepostal", organisation.postal_code),
            _text("ville", organisation.commune),
        )
        phone, mail = site.publisher.phone, site.contact
        self._contact = _of(
            "coordonnees",
            _text("nom", organisation.name, _LINE),
            "" if phone is None else _of("telfixe", _text("numtel", phone, 25)),
            "" if mail is None else _text("courriel", mail, 160),
            _link("web", site.address),
        )
        self._enrolment_address = _of("adresse-inscription", address)
        self._begin_of_action = _text("rythme-formation", "non précisé") + (
            f'<code-public-vise ref="{_escaped(organisation.formacode)}">{organisation.audience_code}'
            "</code-public-vise>"
        )
        self._responsible = _of(
            "organisme-formation-responsable",
            _text("numero-activite", organisation.activity_number),
            _of("SIRET-organisme-formation", _text("SIRET", organisation.siret)),
            _text("nom-organisme", organisation.name),
            _text("raison-sociale", organisation.name),
            _of("coordonnees-organisme", _of("coordonnees", address)),
            _of("contact-organisme", self._contact),
        )

    async def write(
        self, offers: Iterable[tuple[Offer, AsyncIterator[list[ListedSession]]]]
    ) -> AsyncIterator[bytes]:
        yield f'<?xml version="1.0" encoding="utf-8"?>\n<lheo xmlns="{NAMESPACE}"><offres>\n'.encode()
        for offer, pages in offers:
            begun = False
            async for page in pages:
                yield "".join(
                    (
                        "" if begun else self._before_actions(offer),
                        *(self._action(offer, listed) for listed in page),
                    )
                ).encode()
                begun = True
            if begun:
                yield f"{self._responsible}</formation>\n".encode()
        yield b"</offres></lheo>\n"

    def _before_actions(self, offer: Offer) -> str:
        return f'<formation numero="{offer.offer_id}">' + "".join(
            (
                "<domaine-formation/>",
                _text("intitule-formation", offer.title, 255),
                _text("objectif-formation", offer.summary, 3000),
                _text("resultats-attendus", "attestation de participation"),
                _text("contenu-formation", offer.summary, 3000),
                _text("certifiante", _NO),
                _of("contact-formation", self._contact),
                _text("parcours-de-formation", _IN_A_GROUP),
                _text("code-niveau-entree", _LEVEL_NOT_TOLD),
                _link("url-formation", f"{self._site}/offres/{offer.offer_id}"),
            )
        )

    def _action(self, offer: Offer, listed: ListedSession) -> str:
        session, plan = described(self._site, listed.session, offer), listed.session.plan
        place = "" if session.place is None else _place(session.place)
        return (
            f"<action>{self._begin_of_action}"
            f"{_text('info-public-vise', str(self._audience(plan)), 250)}"
            "<niveau-entree-obligatoire>0</niveau-entree-obligatoire>"
            "<modalites-alternance>sans objet</modalites-alternance>"
            f"<modalites-enseignement>{_ON_SITE if place else _AT_A_DISTANCE}</modalites-enseignement>"
            f"{_text('conditions-specifiques', _condition(plan.prerequisite))}"
            "<prise-en-charge-frais-possible>0</prise-en-charge-frais-possible>"
            f"{place}<modalites-entrees-sorties>{_FIXED_DATES}</modalites-entrees-sorties>"
            f"{self._session(listed, session)}<langue-formation>fr</langue-formation></action>\n"
        )

    def _session(self, listed: ListedSession, session: DescribedSession) -> str:
        return (
            f'<session numero="{listed.session.session_id}" info="{_escaped(session.title)}">'
            f"{_period(session.starts_at, session.ends_at)}{self._enrolment_address}"
            f"<modalites-inscription>{labels.APPROVALS[listed.session.plan.approval]}</modalites-inscription>"
            "<periode-inscription>"
            f"{_period(session.enrolment_opens_at, session.enrolment_closes_at)}</periode-inscription>"
            f"<etat-recrutement>{self._recruitment(listed)}</etat-recrutement>"
            f"<url-session><urlweb>{session.address}</urlweb></url-session>"
            f"<contact-session><coordonnees><nom>{labels.organisation(session.organiser)}</nom></coordonnees>"
            "</contact-session></session>"
        )

    def _recruitment(self, listed: ListedSession) -> str:
        access = availability(listed.session, listed.occupancy, self._now).access
        if access is Access.NOT_YET_OPEN:
            return _RECRUITS_LATER
        return _RECRUITS if access.has_seats else _RECRUITS_NO_MORE


def _condition(needed: Prerequisite | None) -> str:
    return "aucune" if needed is None else f"L’attestation de la formation « {needed.title} »."


def _place(place: DescribedPlace) -> str:
    if place.street is None or place.postal_code is None or place.commune is None:
        return _of("lieu-de-formation", _of("coordonnees", *_lines(place.venue, 3)))
    address = (
        *_lines(place.street, 4),
        _text("codepostal", place.postal_code),
        _text("ville", place.commune, _LINE),
    )
    return _of("lieu-de-formation", _of("coordonnees", _of("adresse", *address)))


def _lines(text: str, most: int) -> list[str]:
    lines = [text] if len(text) <= _LINE else textwrap.wrap(text, _LINE)[:most]
    return [_text("ligne", line) for line in lines]


def _period(begins_at: datetime, ends_at: datetime) -> str:
    begin, end = _day(begins_at), _day(last_day(ends_at))
    return f"<periode><debut>{begin}</debut><fin>{end}</fin></periode>"


def _day(moment: datetime) -> str:
    return f"{moment.year}{moment.month:02}{moment.day:02}"


def _link(name: str, address: str) -> str:
    return _of(name, _text("urlweb", address, 400))


def _of(name: str, *content: str) -> str:
    return f"<{name}>{''.join(content)}</{name}>"


def _text(name: str, text: str, most: int | None = None) -> str:
    """Longer text ends in ``…``."""
    if most is not None and len(text) > most:
        text = f"{text[: most - 1]}…"
    return f"<{name}>{_escaped(text)}</{name}>"


def _escaped(text: str) -> str:
    """Leave out characters that XML 1.0 cannot contain."""
    if _NOT_PLAIN.search(text) is None:
        return text
    return escape(re.sub(_NOT_XML, "", text), {'"': "&quot;"})
