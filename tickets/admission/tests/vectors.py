"""Codes of docs/tickets.md that Python and JavaScript are tested against."""

import json
from pathlib import Path
from typing import Any

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "codes.json").read_text())
