"""RNN, GRU and LSTM by hand in NumPy: read rnn.py first, then gru.py and lstm.py; the others are variants."""
