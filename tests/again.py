"""Looks once more, alone, at the few tests that failed beside others. script/test asks for it where CI=true.

A whole run has three processes on two cores, on a machine that others use as well. A test that waits 60 s for one
answer has failed there now and then, and passed by itself: 1 to 3 of 5,180 to 5,700 in each of six whole runs. Such a
test is not steady and is to be mended, so the run names it at its end. It does not stop what else the commit brings.

Not tried again: more failures than FEW, which have a cause in common; what passed its budget; and the storms of
tests/attack, since what they look for is rare, and seen once it is there.

    python -m tests.again [pytest's arguments]      behind a run of pytest in the same directory; 0: all passed now
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FEW = 5
FAILED = Path(".pytest_cache/v/cache/lastfailed")
"""Where pytest keeps what failed: a JSON object of node ids. https://docs.pytest.org/en/stable/how-to/cache.html"""


def main(arguments: list[str]) -> int:
    failed = sorted(json.loads(FAILED.read_text())) if FAILED.exists() else []
    if not 0 < len(failed) <= FEW or any(name.startswith("tests/attack/") for name in failed):
        return 1
    print(f"\nTried again, alone: {', '.join(failed)}\n", flush=True)
    command = [sys.executable, "-m", "pytest", "-n", "0", "--last-failed", "--last-failed-no-failures", "none"]
    status = subprocess.call([*command, *arguments])
    if status == 0:
        print("\nNOT STEADY: failed beside others and passed alone:", *failed, sep="\n    ", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
