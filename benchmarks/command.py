"""The command line as it is installed beside this interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

HARNESS = Path(sys.executable).with_name("harness")
