"""Which options cannot be combined, and what to do instead."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import keras

from keras_adam.options.options import Options
from keras_adam.storage import STORAGES, names_where

logger = logging.getLogger(__name__)


def check_combinations(options: Options, custom_rule: str | None) -> None:
    """Refuse options that exclude each other.

    Args:
        options: each of them valid by itself.
        custom_rule: name of the subclass that overrides ``update_step``, if one does.

    Raises:
        ValueError: naming the options and what to do.
    """
    check_clipping(dataclasses.asdict(options))
    _check_sparse_updates(options, custom_rule)
    _check_moment_storage(options, custom_rule)
    _check_learning_rate_control(options, custom_rule)


def check_clipping(options: Mapping[str, Any]) -> None:
    """Refuse more than one of Keras's ways to clip.

    Args:
        options: by name.

    Raises:
        ValueError: naming those that are set.
    """
    given = [
        f"{name}={options[name]!r}"
        for name in ("clipnorm", "clipvalue", "global_clipnorm")
        if options[name] is not None
    ]
    if len(given) > 1:
        raise ValueError(
            "Only one of clipnorm, clipvalue and global_clipnorm can be set; received "
            f"{' and '.join(given)}. Set the others to None first."
        )


def _check_sparse_updates(options: Options, custom_rule: str | None) -> None:
    """Refuse accumulators, a custom rule, or betas by which momentum does not fade."""
    mode = options.sparse_updates
    if mode == "dense":
        return
    if mode == "catch_up" and options.beta_1**2 >= options.beta_2:
        raise ValueError(
            f"With beta_1={options.beta_1} and beta_2={options.beta_2} the steps of a "
            "row without gradients grow instead of fading: "
            'sparse_updates="catch_up" needs beta_1 below the root of beta_2.'
        )
    if options.gradient_accumulation_steps:
        raise ValueError(
            f"sparse_updates={mode!r} cannot be combined with "
            "gradient_accumulation_steps: accumulators hold every row, so every "
            'row would be touched. Use sparse_updates="dense", or larger batches.'
        )
    if custom_rule:
        raise ValueError(
            f"sparse_updates={mode!r} steps rows by Adam's own rule, but "
            f'{custom_rule} overrides update_step. Use sparse_updates="dense", which '
            "hands dense gradients to it."
        )


def _check_moment_storage(options: Options, custom_rule: str | None) -> None:
    """Refuse a custom rule, rows or AMSGrad if the storage does not support them."""
    storage = STORAGES[options.moment_storage]
    received = f'moment_storage="{options.moment_storage}" cannot be combined with '
    if custom_rule and not storage.supports_custom_rule:
        raise ValueError(
            f"{received}{custom_rule}, which overrides update_step: "
            f"{storage.no_custom_rule_because}. Use "
            f"{names_where(lambda one: one.supports_custom_rule)}."
        )
    if options.sparse_updates != "dense" and not storage.supports_rows:
        raise ValueError(
            f"{received}sparse_updates={options.sparse_updates!r}: "
            f"{storage.no_rows_because}. Use "
            f"{names_where(lambda one: one.supports_rows)}, or "
            'sparse_updates="dense".'
        )
    if options.amsgrad and not storage.supports_amsgrad:
        raise ValueError(
            f"{received}amsgrad=True: {storage.no_amsgrad_because}. Use "
            f"{names_where(lambda one: one.supports_amsgrad)}, or amsgrad=False."
        )


def _check_learning_rate_control(options: Options, custom_rule: str | None) -> None:
    """Refuse limits without effect, no first moment to adapt by, or a custom rule."""
    if options.rate_cap_softness and options.rate_cap is None:
        raise ValueError(
            f"rate_cap_softness={options.rate_cap_softness!r} softens rate_cap, which "
            "is off. Set rate_cap, or leave rate_cap_softness at 0."
        )
    limit = options.rate_growth_limit
    if limit is not None and limit < 1:
        raise ValueError(
            f"rate_growth_limit={limit!r} would forbid the given learning rate itself: "
            "use a factor of 1 (never above the given learning rate) or more."
        )
    if limit is not None and options.rate_adaptation is None:
        raise ValueError(
            f"rate_growth_limit={limit!r} bounds what rate_adaptation does, "
            "which is off. Set rate_adaptation, or use Adam.robust(...)."
        )
    if options.rate_adaptation is not None and options.beta_1 == 0:
        raise ValueError(
            "rate_adaptation compares gradients with the first moment, which "
            "beta_1=0 does not keep. Use beta_1 above 0, or rate_adaptation=None."
        )
    if options.controls_learning_rate and custom_rule:
        raise ValueError(
            f"rate_cap={options.rate_cap!r} and rate_adaptation="
            f"{options.rate_adaptation!r} control the learning rate of Adam's own "
            f"rule, but {custom_rule} overrides update_step. Use None for both."
        )


def warn_if_gradients_are_dense(sparse_updates: str) -> None:
    """Log a warning if `sparse_updates` has no effect, as every gradient is dense."""
    if sparse_updates != "dense" and keras.backend.backend() != "tensorflow":
        logger.warning(
            "sparse_updates=%r, but on the %s backend every gradient is dense: "
            "every row is touched at every step.",
            sparse_updates,
            keras.backend.backend(),
        )
