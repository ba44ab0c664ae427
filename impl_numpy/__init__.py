"""The RNN by hand in NumPy: read rnn.py first, the other files are variants of it."""
