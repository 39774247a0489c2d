"""How near is near enough: one table for all tests.

Each entry is used as an absolute and a relative tolerance at once: absolute for
weights below 1, relative above, where float32's own grid is coarser.
"""

KERAS_TRAJECTORY = 1e-6
"""50 steps beside keras.optimizers.Adam, both in float32."""

ORACLE_TRAJECTORY = 2e-6
"""50 steps beside the float64 oracle: float32 rounds 0.999 by 1.3e-8, which is
6e-6 of each step's size."""

REPLICAS = 1e-5
"""Two devices beside one on the same global batch: sums in another order."""

FULL_AND_SAVED = 1e-6
"""A run that went through a file beside one that did not."""
