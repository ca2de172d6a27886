"""HTTP in (HTML): the offer as anyone finds it, rendered here, without a framework and without scripts."""

from services.catalogue.pages.application import build, mount
from services.catalogue.pages.site import Publisher, Site

__all__ = ["Publisher", "Site", "build", "mount"]
