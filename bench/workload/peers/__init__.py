"""Hold variants of libraries beside NumPy and PyTorch; each module imports its library when it binds."""
