"""Decide from a finished sweep whether a setting is safe, in a program.

Run: python examples/read_a_report.py DIRECTORY
DIRECTORY is that of a sweep, for example from sweep_your_own_model.py.
"""

import json
import sys
from pathlib import Path

import tuning


def main():
    directory = Path(sys.argv[1])
    tuning.write_report(directory)
    summary = json.loads((directory / "summary.json").read_text())
    for sentence in summary["verdict"]:
        print(f"- {sentence}")


if __name__ == "__main__":
    main()
