"""The golden files: one for each state, one for the frames of each group of states."""

import difflib
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.pages.outline import frame, head, main, stable
from tests.pages.states import SeenState

FOLDER = Path(__file__).parent / "golden"


def files(seen: Mapping[str, list[SeenState]]) -> Iterator[tuple[Path, str]]:
    """Path and content of the files of these groups."""
    for group, states in seen.items():
        frames = dict.fromkeys("\n".join(frame(state.page)) for state in states)
        yield FOLDER / group / "_frames.txt", stable("\n\n".join(frames)) + "\n"
        for state in states:
            first = f"{state.answer.status_code} {state.answer.url.raw_path.decode()}"
            lines = [first, *head(state.page), "", *main(state.page)]
            name = re.sub(r"\W+", "-", state.name)
            yield FOLDER / group / f"{name}.txt", stable("\n".join(lines)) + "\n"


def write(seen: Mapping[str, list[SeenState]]) -> None:
    """Write the files of these groups anew."""
    for group in seen:
        shutil.rmtree(FOLDER / group, ignore_errors=True)
    for path, content in files(seen):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def differences(seen: Mapping[str, list[SeenState]]) -> str:
    """Return how the pages differ from the golden files; nothing if they do not."""
    now = {str(path.relative_to(FOLDER)): content for path, content in files(seen)}
    kept = {
        str(path.relative_to(FOLDER)): path.read_text()
        for group in seen
        for path in (FOLDER / group).iterdir()
    }
    return "".join(
        line
        for path in sorted(now | kept)
        for line in difflib.unified_diff(
            kept.get(path, "").splitlines(keepends=True),
            now.get(path, "").splitlines(keepends=True),
            f"golden/{path}",
            f"now/{path}",
            n=1,
        )
    )
