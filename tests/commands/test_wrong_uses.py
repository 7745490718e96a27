"""What a wrong use gets: one line with a way out, exit status 2, and nothing written (see scripts/wrong_uses.py)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "wrong_uses.py"


def test_every_wrong_use_ends_in_one_line_with_a_way_out() -> None:
    """In a process of its own: the checks of annotations, which tests have, would come first here."""
    ran = subprocess.run([sys.executable, str(_SCRIPT)], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.match(r"(\d+) of (\d+) wrong uses", ran.stdout.splitlines()[-1])
    assert found is not None
    assert found[1] == found[2]
    assert int(found[2]) >= 280
