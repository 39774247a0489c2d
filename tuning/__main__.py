"""``python -m tuning`` is ``keras-adam-sweep``."""

from __future__ import annotations

from tuning.cli.console import main

main()
