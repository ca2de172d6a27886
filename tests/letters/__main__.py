"""Write the golden letters anew: ``python -m tests.letters``.

``python -m tests.letters FOLDER`` writes the HTML of every letter there, to look at.
"""

import sys
from pathlib import Path

from tests.letters.golden import GOLDEN, golden
from tests.letters.samples import samples
from tests.letters.showing import show

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for sample in samples():
        (folder / f"{sample.name}.html").write_text(show(sample).page)
else:
    for old in GOLDEN.glob("*.txt"):
        old.unlink()
    for sample in samples():
        (GOLDEN / f"{sample.name}.txt").write_text(golden(show(sample)))
