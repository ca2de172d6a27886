"""Everything that the local stack writes is below `.local` of the project's folder."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LOCAL = PROJECT / ".local"
