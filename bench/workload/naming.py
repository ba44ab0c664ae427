"""Name the cell of a case, in words and by the options that choose it."""

from bench.workload.case import DEFAULT_CELL, Case
from bench.workload.cell import built_in_cell


def cell(name: str) -> str:
    """Return a cell's name for readers: "GRU"; a user's cell keeps its name."""
    return name if built_in_cell(name) is None else name.upper()


def of_cell(case: Case) -> str:
    """Return " of a GRU" or " of an RNN with biases"; empty for the tutorial's RNN."""
    return f" of {a_cell(case)}" if cell_options(case) else ""


def a_cell(case: Case) -> str:
    """Return the cell with its article, and its biases if unusual: "an RNN with biases"."""
    return " ".join(named_cell(case))


def named_cell(case: Case) -> tuple[str, str]:
    """Return the cell's article and name, and its biases if unusual: ("an", "RNN with biases")."""
    biases = "" if case.bias == usual_bias(case) else " with biases" if case.bias else " without biases"
    return article(case.cell), f"{cell(case.cell)}{biases}"


def article(name: str) -> str:
    """Return what stands before a cell's name: "an" before LSTM, "the cell" before that of a user."""
    return {"gru": "a"}.get(name, "an") if built_in_cell(name) else "the cell"


def usual_bias(case: Case) -> bool:
    """Return whether the case's cell usually has biases; of a user's cell, which is not imported, not."""
    built_in = built_in_cell(case.cell)
    return built_in is not None and built_in.bias


def cell_options(case: Case) -> str:
    """Return the options that choose the case's cell, each after a space; empty for the tutorial's RNN.

    The usual choice of biases is left out; of a user's cell it is not known.
    """
    name = "" if case.cell == DEFAULT_CELL else f" --cell {case.cell}"
    known = built_in_cell(case.cell) is not None and case.bias == usual_bias(case)
    return name + ("" if known else " --bias" if case.bias else " --no-bias")
