"""``python -m workers.experiment.report``: a result as JSON on standard input, its report on standard output.

A process of its own draws: seconds of computing have no place beside the streams of a worker.
"""

from __future__ import annotations

import json
import sys

from workers.experiment.report.render import render


def main() -> None:
    """Draw the report of the result on standard input."""
    report = render(json.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(report.encode())


if __name__ == "__main__":
    main()
