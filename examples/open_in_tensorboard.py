"""Read a sweep's TensorBoard logs, and print how to look at them in a browser.

Run: python examples/open_in_tensorboard.py DIRECTORY
"""

import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main():
    logs = Path(sys.argv[1]) / "tensorboard"
    runs = sorted({path.parent for path in logs.glob("*/batch=*/lr=*/seed=*/*")})
    for run in runs[:4]:
        # By default only ten values of a series are kept.
        events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
        print(f"{run.relative_to(logs)}: {', '.join(events.Tags()['tensors'])}")
    print(f"{len(runs)} runs in all; look at them with")
    print(f"keras-adam-sweep tensorboard {sys.argv[1]}")


if __name__ == "__main__":
    main()
