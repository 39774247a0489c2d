"""Explains to the user why telemetry has written nothing of a training."""

from __future__ import annotations

from typing import NamedTuple


class MissingSteps(NamedTuple):
    """What explains that no step of a training was written.

    Attributes:
        every: the multiples of this are written.
        batches: about how many batches the training had.
        optimizer: name of the class given to ``compile``; ``None`` without one.
        has_weights: whether the model has weights to train.
        begin: ``optimizer.iterations`` before the training.
        observed_from: ``optimizer.iterations`` when the optimizer was first seen built;
            ``None`` if it never was.
        end: ``optimizer.iterations`` after the training.
        has_skipped: whether steps were skipped for gradients that were not finite.
        accumulated: how many batches make one step.
    """

    every: int
    batches: int
    optimizer: str | None
    has_weights: bool
    begin: int
    observed_from: int | None
    end: int
    has_skipped: bool
    accumulated: int

    def reason(self) -> str:
        """Why nothing was written, and what to do, in whole sentences."""
        if self.batches == 0:
            return "This training had no batches."
        if self.optimizer is None:
            return (
                "The model was compiled without an optimizer, and only the optimizer "
                "given to compile() is observed."
            )
        if not self.has_weights:
            return "The model has no trainable weights."
        if self.end <= self.begin:
            return self._reason_without_steps()
        return self._reason_with_steps()

    def _reason_without_steps(self) -> str:
        if self.has_skipped:
            return (
                "Every step of this training was skipped, because its gradients were "
                "NaN or infinite."
            )
        if self.batches < self.accumulated:
            return (
                f"This training was shorter than gradient_accumulation_steps="
                f"{self.accumulated}, so the optimizer has taken no step yet."
            )
        return (
            f"The optimizer given to compile(), {self.optimizer}, took no step in this "
            "training. Only this optimizer is observed; optimizers that the model "
            "applies itself, for example in its train_step, are not."
        )

    def _reason_with_steps(self) -> str:
        first, last = self.begin + 1, self.end
        unobserved = self.end if self.observed_from is None else self.observed_from
        built_late = (
            "Keras built the optimizer in it. To observe it, call "
            "model.optimizer.build(model.trainable_variables) before fit()."
        )
        took = f"step {last} alone" if first == last else f"steps {first} to {last}"
        if unobserved >= self.end:
            return (
                f"This training took {took}, all in its first execution, which cannot "
                f"be observed: {built_late}"
            )
        multiple = self.end // self.every * self.every  # the last one
        if first <= multiple <= unobserved:
            return (
                f"In this training every multiple of every={self.every} lies in the "
                f"first execution, which cannot be observed: {built_late}"
            )
        if multiple < first:
            longest = self.end - unobserved
            return (
                f"This training took {took}, and no multiple of every={self.every} is "
                f"among them. Choose every={longest} or less."
            )
        return f"No step at a multiple of every={self.every} could be observed."
