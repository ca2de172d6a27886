"""A QR code that leads to an address: drawn in a page, an image in a letter. It says no more."""

import io

import segno
from markupsafe import Markup

_POINT = 4
"""Pixels, or units of the drawing, of one point of the code."""


def svg(address: str, label: str) -> Markup:
    """Return the code as a drawing, dark on white also where the page is dark; ``label`` is heard."""
    drawing = _code(address).svg_inline(scale=_POINT, light="#fff", svgclass=None, lineclass=None)
    code = Markup(drawing)  # noqa: S704 of points alone
    return Markup('<span class="qr" role="img" aria-label="{}">{}</span>').format(label, code)


def png(address: str) -> bytes:
    """Return the code as an image, white around it."""
    image = io.BytesIO()
    _code(address).save(image, kind="png", scale=_POINT)
    return image.getvalue()


def _code(address: str) -> segno.QRCode:
    return segno.make_qr(address, error="m")
