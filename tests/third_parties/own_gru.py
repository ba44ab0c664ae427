"""Variants from outside of a cell that is built in: one says that it computes biases, the other does not."""

from types import SimpleNamespace

from impl_numpy.contract import gru_batched

biased = SimpleNamespace(name="own-biased", library="numpy", cell="gru", bias=True, bind=gru_batched)
silent = SimpleNamespace(name="own-silent", library="numpy", cell="gru", bind=gru_batched)
