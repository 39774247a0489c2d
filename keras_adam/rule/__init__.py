"""Pure functions of float32 tensors: what a step computes."""
