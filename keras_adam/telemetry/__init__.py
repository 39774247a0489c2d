"""A callback that shows in TensorBoard what the optimizer does."""
