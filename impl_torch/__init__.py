"""The RNN in PyTorch: read rnn.py first, the other files are variants of it."""
