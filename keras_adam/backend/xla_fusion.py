"""Whether XLA on a CPU makes one pass over memory for an update, or three.

By default XLA:CPU fuses only computations with one output. First moment, second moment
and weight then take one pass over memory each, 40 bytes per parameter in all. XLA can
also fuse computations with several outputs, if the environment switches that on before
the first program is compiled::

    XLA_FLAGS=--xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true

With it an update can read and write everything once, 28 bytes per parameter. The
option applies to every program of the process, so the user has to set it.

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
