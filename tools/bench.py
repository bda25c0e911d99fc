# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the measurements in tools/bench/, all or the named ones, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "bench"


def main(names: list[str]) -> int:
    """Run them; the exit status is that of the first that failed."""
    known = sorted(path.stem for path in FOLDER.glob("*.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"cannot measure {unknown[0]!r}: there is {', '.join(known)}", file=sys.stderr)
        return 2
    results = [subprocess.run([sys.executable, "-P", str(FOLDER / f"{name}.py")], check=False).returncode
               for name in names or known]
    return next((result for result in results if result), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
