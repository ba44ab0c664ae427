"""RNN, GRU and LSTM in PyTorch: read rnn.py first, then gru.py and lstm.py; the others are variants."""
