"""The built-in workloads: one file each, found by name in one table."""

from __future__ import annotations

from collections.abc import Mapping

from tuning.errors import user_code
from tuning.references import resolve_reference
from tuning.workload_kinds import KINDS, AnyWorkload

BUILT_IN: Mapping[str, str] = {
    "digits": "tuning.workloads.digits:WORKLOAD",
    "detection": "tuning.workloads.detection:workload",
    "segmentation": "tuning.workloads.segmentation:workload",
    "topics": "tuning.workloads.topics:workload",
    "sentiment": "tuning.workloads.sentiment:workload",
    "language-model": "tuning.workloads.language_model:workload",
    "speech-to-text": "tuning.workloads.speech_to_text:workload",
    "speakers": "tuning.workloads.speakers:workload",
}
"""Name -> reference of the workload, which is imported only when it is needed."""


def find_workload(name: str) -> AnyWorkload:
    """The workload of that name, or the one at ``package.module:attribute``.

    An attribute may be a workload of any kind, or a function without arguments that
    returns one.

    Raises:
        ValueError: there is no such workload (the message lists the built-in names),
            or it cannot be imported or made.
    """
    if name not in BUILT_IN and ":" not in name:
        raise ValueError(
            f"unknown workload {name!r}; use {', '.join(BUILT_IN)} or "
            "package.module:attribute."
        )
    if ":" in name:
        # So that layers in the user's file have the same weights in every process.
        import keras

        keras.utils.set_random_seed(0)
    found = resolve_reference(BUILT_IN.get(name, name), "workload")
    if not isinstance(found, KINDS) and callable(found):
        with user_code(f"workload {name!r} cannot be made"):
            found = found()
    if not isinstance(found, KINDS):
        raise ValueError(
            f"workload {name!r} must be a tuning.Workload, a tuning.FitWorkload, a "
            "function below @tuning.training, or a function that returns one of these; "
            f"received {type(found).__name__}."
        )
    return found
