"""The only package that names JAX, TensorFlow or PyTorch."""
