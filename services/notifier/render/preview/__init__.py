"""Every letter with sample data, as files and a page to leaf through; needs no database and no settings.

The same samples are the golden tests: what a change of a template does to the letters is seen in its review.
"""

from services.notifier.render.preview.files import Shown, show, write
from services.notifier.render.preview.samples import Sample, samples

__all__ = ["Sample", "Shown", "samples", "show", "write"]
