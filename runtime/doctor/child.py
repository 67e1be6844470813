"""The process in which checks run: `python -m aif.runtime.doctor.child BUNDLE CHECK...`.

It writes JSON lines to stdout.
"""

from __future__ import annotations

import json
import os
import sys

from aif.runtime.doctor.checks import run_check


def main() -> None:
    """Run the checks that are named; whatever libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as report:
        os.dup2(2, 1)
        bundle, *names = sys.argv[1:]
        for name in names:
            findings = [finding.as_dict() for finding in run_check(name, bundle)]
            print(json.dumps({"check": name, "findings": findings}), file=report, flush=True)


if __name__ == "__main__":
    main()
