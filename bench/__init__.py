"""rnnbench: NumPy or PyTorch for this RNN, on this machine: which, by how much, how sure, and why."""

__version__ = "0.1.0"
