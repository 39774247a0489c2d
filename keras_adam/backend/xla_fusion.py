"""Whether XLA makes one pass over memory of an update on a CPU, or three.

By default XLA:CPU fuses what has one output: first moment, second moment and weight
are a pass each, 40 bytes per parameter. It has a pass that fuses computations with
several outputs, which is off unless the environment says otherwise before the first
program is compiled::

    XLA_FLAGS=--xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true

With it an update can read and write everything once, 28 bytes per parameter. The
option holds for every program of the process, so it is the user's to set.

**Source**: OpenXLA, ``xla/service/cpu/cpu_options.cc``.
"""

from __future__ import annotations

import os

_OPTION = "xla_cpu_use_multi_output_fusion"


def fuses_several_outputs() -> bool:
    """Whether the environment switches on XLA:CPU's fusion of several outputs."""
    settings = os.environ.get("XLA_FLAGS", "").replace(",", " ").replace("=", " ")
    words = settings.split()
    if _OPTION not in words:
        return False
    following = words[words.index(_OPTION) + 1 :]
    return not following or following[0].lower() not in ("false", "0")
