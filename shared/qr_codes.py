import io

import segno
from markupsafe import Markup

_MASK = 2
"""The best of the eight masks for nearly all our addresses. To compare all of them takes most of the time."""
_POINT = 4
"""Pixels (PNG) or units (SVG) of one point."""


def svg(address: str, label: str) -> Markup:
    """Dark on white even on a dark page. Screen readers read ``label``."""
    drawing = _code(address).svg_inline(scale=_POINT, light="#fff", svgclass=None, lineclass=None)
    code = Markup(drawing)  # noqa: S704 only points
    return Markup('<span class="qr" role="img" aria-label="{}">{}</span>').format(label, code)


def svg_file(address: str) -> str:
    """Return a file of its own, which a page cannot contain."""
    image = io.BytesIO()
    _code(address).save(image, kind="svg", xmldecl=False, svgclass=None, lineclass=None)
    return image.getvalue().decode()


def png(address: str) -> bytes:
    image = io.BytesIO()
    _code(address).save(image, kind="png", scale=_POINT)
    return image.getvalue()


def _code(address: str) -> segno.QRCode:
    return segno.make_qr(address, error="m", mask=_MASK)
