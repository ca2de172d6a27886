from services.catalogue.pages.application import build, mount
from services.catalogue.pages.site import Publisher, Site

__all__ = ["Publisher", "Site", "build", "mount"]
