"""Seeds of everything that draws random numbers in a run."""

from __future__ import annotations

import sys

import keras


def seed_all(seed: int) -> None:
    """Seed Python, NumPy, the backend and, where a data loader may use it, torch."""
    keras.utils.set_random_seed(seed)
    torch = sys.modules.get("torch")
    # Keras does it where torch is its backend.
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed)
