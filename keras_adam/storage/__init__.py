"""How moments are kept between steps: the table of storages, and their codecs.

The update rule is computed in float32 whatever the storage: a moment is decoded before
the rule and encoded after it. Rounded to nearest, a moment may stall: with
``beta_2=0.999`` a second moment changes by a thousandth of itself per step, which is
less than half a step of any grid of 8 or 16 bits. So it is rounded stochastically: up
or down at random, such that the mean of the codes is the moment. A positive second
moment never becomes zero, because its square root is the denominator of a step.

| storage | bytes per parameter | first moment | second moment |
|---|---|---|---|
| float32 | 8 | unchanged | unchanged |
| bfloat16 | 4 | bfloat16, to nearest | bfloat16, stochastically |
| 8bit | 2.06 | sign, 4 bits exponent, 3 mantissa | 5 bits exponent, 3 mantissa |

To add a storage, write one file with two codecs and a `MomentStorage`, and add one line
to `STORAGES`. No other code knows a storage by its name: fields of `MomentStorage` say
what it can be combined with, and the contract tests run over the table. Its dtypes or
shapes must differ from those of every other storage, because a saved state is
recognised by them (`keras_adam.state.checkpoint_storage`).
"""

from collections.abc import Callable

from keras_adam.storage.bfloat16 import BFLOAT16
from keras_adam.storage.blocks import BLOCK, largest_magnitudes, within_float32
from keras_adam.storage.codec import LEAST_ENCODED, Codec, MomentStorage
from keras_adam.storage.eight_bit import EIGHT_BIT
from keras_adam.storage.float32 import FLOAT32
from keras_adam.storage.stochastic_rounding import random_bits

__all__ = [
    "BLOCK",
    "LEAST_ENCODED",
    "STORAGES",
    "UNENCODED",
    "Codec",
    "MomentStorage",
    "largest_magnitudes",
    "names_where",
    "random_bits",
    "within_float32",
]

STORAGES: dict[str, MomentStorage] = {
    "float32": FLOAT32,
    "bfloat16": BFLOAT16,
    "8bit": EIGHT_BIT,
}
"""By the name that `keras_adam.Adam` takes as ``moment_storage``, from the most bytes
per parameter to the fewest."""

UNENCODED = FLOAT32
"""The storage of weights that are not encoded, whatever the optimizer's option."""


def names_where(is_suitable: Callable[[MomentStorage], bool]) -> str:
    """The suitable values of ``moment_storage`` as text, the smallest storage first."""
    names = [name for name in reversed(STORAGES) if is_suitable(STORAGES[name])]
    return "moment_storage=" + " or ".join(f'"{name}"' for name in names)
