"""HTTP in (HTML): the offer as anyone finds it, rendered here, without a framework and without scripts."""

from services.catalogue.pages.application import beside, build
from services.catalogue.pages.site import Site

__all__ = ["Site", "beside", "build"]
