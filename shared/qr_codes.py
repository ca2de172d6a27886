"""QR codes that contain an address: SVG for a page, PNG for a letter."""

import io

import segno
from markupsafe import Markup

_POINT = 4
"""Pixels (PNG) or units (SVG) of one point of the code."""


def svg(address: str, label: str) -> Markup:
    """Return the code as SVG, dark on white even on a dark page. Screen readers read ``label``."""
    drawing = _code(address).svg_inline(scale=_POINT, light="#fff", svgclass=None, lineclass=None)
    code = Markup(drawing)  # noqa: S704 of points alone
    return Markup('<span class="qr" role="img" aria-label="{}">{}</span>').format(label, code)


def png(address: str) -> bytes:
    """Return the code as PNG with a white border."""
    image = io.BytesIO()
    _code(address).save(image, kind="png", scale=_POINT)
    return image.getvalue()


def _code(address: str) -> segno.QRCode:
    return segno.make_qr(address, error="m")
