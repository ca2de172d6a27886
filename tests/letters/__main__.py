"""Write the golden letters anew, or the HTML of every letter into a folder, to look at."""

import argparse
from pathlib import Path

from tests.letters.golden import GOLDEN, golden
from tests.letters.samples import samples
from tests.letters.showing import show

parser = argparse.ArgumentParser(prog="python -m tests.letters", description=__doc__)
parser.add_argument(
    "folder", type=Path, nargs="?", help="for the HTML; without it the golden letters are written"
)
folder = parser.parse_args().folder
if folder is not None:
    folder.mkdir(parents=True, exist_ok=True)
    for sample in samples():
        (folder / f"{sample.name}.html").write_text(show(sample).page)
else:
    for old in GOLDEN.glob("*.txt"):
        old.unlink()
    for sample in samples():
        (GOLDEN / f"{sample.name}.txt").write_text(golden(show(sample)))
