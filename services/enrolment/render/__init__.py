from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parents[1] / "templates"
Texts = dict[str, Any]
