"""Everything that knows TensorFlow, JAX or torch."""
