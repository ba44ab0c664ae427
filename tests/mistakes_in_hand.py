"""The mistakes that the diagnosis was written with, labelled: mutants of the proof, and rows of a page."""

import re
from functools import partial
from typing import Any

from gradient_mistakes import Wrong, labelled, single
from mutants import GRADIENT, MUTANTS, Mutant
from test_derivation import CHAPTERS

# cell: name of a mutant: kinds, and left sides of lines; without those whose loss is wrong, too
MUTANT_LABELS = {
    "mean over the batch only": ("CONSTANT", "dy_hat"),
    "batch mean missing": ("CONSTANT", "dy_hat"),
    "error with the wrong sign": ("SIGN", "dy_hat e"),
    "recurrent term dropped": ("NOT_HANDED_BACK TRUNCATED", "dh"),
    "1 - h, not 1 - h^2": ("DERIVATIVE", "da"),
    "W transposed backwards": ("TRANSPOSED", "dh"),
    "h off by one": ("OFF_BY_ONE MISTAKEN", "dW"),
    "x off by one": ("OFF_BY_ONE", "dU"),
    "first step skipped": ("STEP_LEFT_OUT", ""),
    "last step skipped": ("STEP_LEFT_OUT", ""),
    "last not accumulated": ("NOT_SUMMED", "dW"),
    "dL/dh_T x 1.0005": ("CONSTANT", "dh"),
    "dV x 1.0005": ("CONSTANT", "dV"),
    "U's gradient zero": ("ZERO", "dU"),
    "bias's gradient of the first step only": ("NOT_SUMMED", "db"),
    "bias's gradient of one sample only": ("NOT_SUMMED", "db"),
    "bias's gradient a mean over the batch": ("CONSTANT", "db"),
    "bV's gradient a mean over the batch": ("CONSTANT", ""),
    "bW's gradient zero": ("ZERO", ""),
    "half the precision": ("PRECISION", ""),
    "gru: derivative of n left out": ("DERIVATIVE", "da_n"),
    "gru: derivative of n at n": ("DERIVATIVE", "da_n"),
    "gru: 1 / (1 - n^2)": ("DERIVATIVE FACTOR", "da_n"),
    "gru: derivative of r left out": ("DERIVATIVE", "da_r"),
    "gru: derivative of r at r": ("DERIVATIVE", "da_r"),
    "gru: derivative of z left out": ("DERIVATIVE", "da_z"),
    "gru: derivative of z taken of r": ("DERIVATIVE MISTAKEN", "da_z"),
    "gru: h handed back straight forgotten": ("NOT_HANDED_BACK TERM", "dh"),
    "gru: h handed back through W forgotten": ("NOT_HANDED_BACK TERM", "dh"),
    "gru: h handed back with 1 - z": ("MISTAKEN", "dh"),
    "gru: h handed back by dL/du": ("MISTAKEN FACTOR", "dh"),
    "gru: z and 1 - z exchanged in the gradient": ("MISTAKEN", "da_n"),
    "gru: z's gradient with the wrong sign": ("SIGN", "da_z"),
    "gru: z's gradient with the new h": ("OFF_BY_ONE MISTAKEN", "da_z"),
    "gru: r's gradient by h instead of W h": ("MISTAKEN", "da_r"),
    "gru: r's gradient without bW": ("TERM MISTAKEN", "da_r"),
    "gru: gradient of W without r": ("FACTOR MISTAKEN", "dw"),
    "gru: rows of the gradient in another order": ("ORDER MISTAKEN", "dw"),
    "gru: h of the wrong step": ("OFF_BY_ONE MISTAKEN", "dW"),
    "gru: x of the wrong step": ("OFF_BY_ONE", "dU"),
    "gru: first step skipped": ("STEP_LEFT_OUT", ""),
    "gru: bW's gradient without r": ("MISTAKEN FACTOR", "dbW"),
    "gru: bU's gradient of the first step only": ("NOT_SUMMED", "dbU"),
    "gru: bU's gradient of one sample only": ("NOT_SUMMED", "dbU"),
    "gru: bW's gradient a mean over the batch": ("CONSTANT", "dbW"),
    "gru: bV's gradient a mean over the batch": ("CONSTANT", "dbV"),
    "lstm: derivative of i left out": ("DERIVATIVE", "da_i"),
    "lstm: derivative of f left out": ("DERIVATIVE", "da_f"),
    "lstm: derivative of g left out": ("DERIVATIVE", "da_g"),
    "lstm: derivative of o left out": ("DERIVATIVE", "da_o"),
    "lstm: derivative of f taken of i": ("DERIVATIVE MISTAKEN", "da_f"),
    "lstm: derivative of o at o": ("DERIVATIVE", "da_o"),
    "lstm: derivative of g at g": ("DERIVATIVE", "da_g"),
    "lstm: tanh of tanh(c)": ("DERIVATIVE MISTAKEN FACTOR", "tanh_c"),
    "lstm: derivative of tanh(c) left out": ("DERIVATIVE", "dc"),
    "lstm: 1 - c^2": ("DERIVATIVE MISTAKEN", "dc"),
    "lstm: 1 / (1 - tanh(c)^2)": ("DERIVATIVE FACTOR", "dc"),
    "lstm: output gate left out of c": ("FACTOR", "dc"),
    "lstm: c not handed back": ("NOT_HANDED_BACK TERM", "dc"),
    "lstm: h not handed back": ("NOT_HANDED_BACK", "dh"),
    "lstm: c handed back whole": ("FACTOR", "dc"),
    "lstm: c handed back by i": ("MISTAKEN", "dc"),
    "lstm: i's gradient by i": ("MISTAKEN", "da_i"),
    "lstm: f's gradient with the new c": ("OFF_BY_ONE MISTAKEN", "da_f"),
    "lstm: f's gradient with h": ("MISTAKEN", "da_f"),
    "lstm: g's gradient by g": ("MISTAKEN", "da_g"),
    "lstm: o's gradient with c not squashed": ("MISTAKEN DERIVATIVE FACTOR", "da_o"),
    "lstm: rows of the gradient in another order": ("ORDER", "da"),
    "lstm: h of the wrong step": ("OFF_BY_ONE MISTAKEN", "dW"),
    "lstm: x of the wrong step": ("OFF_BY_ONE", "dU"),
    "lstm: first step skipped": ("STEP_LEFT_OUT", ""),
    "lstm: bU's gradient of the first step only": ("NOT_SUMMED", "dbU"),
    "lstm: bU's gradient of one sample only": ("NOT_SUMMED", "dbU"),
    "lstm: bU's gradient a mean over the batch": ("CONSTANT", "dbU"),
    "lstm: bW's gradient zero": ("ZERO", "dbW"),
    "lstm: bV's gradient a mean over the batch": ("CONSTANT", "dbV"),
}
ROW_LABELS = {  # of the tables of mistakes in chapters 9 and 10 of docs/derivation.md
    ("gru", "tanh of tanh"): ("DERIVATIVE", "da_n"),
    ("gru", "another gate's derivative"): ("DERIVATIVE MISTAKEN", "da_r"),
    ("gru", "z and 1 − z exchanged"): ("MISTAKEN", "da_n"),
    ("gru", "sign of the update gate"): ("SIGN", "da_z"),
    ("gru", "the reset gate before the product"): ("MISTAKEN FACTOR", "da_r"),
    ("gru", "du for dw"): ("FACTOR MISTAKEN", "dw"),
    ("gru", "the straight way forgotten"): ("NOT_HANDED_BACK TERM", "dh"),
    ("gru", "only the straight way"): ("NOT_HANDED_BACK TERM", "dh"),
    ("gru", "the new state for the old one"): ("OFF_BY_ONE MISTAKEN", "dW"),
    ("gru", "bias of the last term, not the sum"): ("NOT_SUMMED", "dbU"),
    ("lstm", "dc not handed back"): ("NOT_HANDED_BACK", "dc"),
    ("lstm", "the forget gate ignored"): ("FACTOR", "dc"),
    ("lstm", "dh handed straight back as well"): ("TERM", "dh"),
    ("lstm", "tanh of tanh"): ("DERIVATIVE", "da_g"),
    ("lstm", "c for tanh(c)"): ("DERIVATIVE MISTAKEN", "dc"),
    ("lstm", "the output gate forgotten in dc"): ("FACTOR", "dc"),
    ("lstm", "cell state of the wrong step"): ("OFF_BY_ONE MISTAKEN", "da_f"),
    ("lstm", "another gate's derivative"): ("DERIVATIVE MISTAKEN", "da_f"),
    ("lstm", "gates in another order"): ("ORDER", "da"),
    ("lstm", "bias of the last term, not the sum"): ("NOT_SUMMED", "dbU"),
}


def _gradients(mutant: Mutant, params: Any, x: Any, y: Any, delta: float) -> tuple[Any, dict[str, Any]]:
    options = {"activation": "tanh"} if mutant.cell == "rnn" else {}
    bound = mutant.bind("gradient", params, x, y, delta=delta, lr=0.1, **options)
    bound.call()
    result = bound.result()
    return result["loss"], {name: result[f"d{name}"] for name in params}


def _rows(cell: str, chapter: str) -> list[Wrong]:
    found = re.findall(r"^\| ([^|`]+) \| `([^`]+)` \| `([^`]+)` \|", chapter, re.MULTILINE)
    return [
        single(cell, f"row {name}", *ROW_LABELS[cell, name.partition(":")[0]], (old, new))
        for name, old, new in found
    ]


BY_NAME = {mutant.name: mutant for mutant in MUTANTS if "gradient" in mutant.tasks}
UNLABELLED = sorted(
    name for name, mutant in BY_NAME.items() if mutant.tasks == GRADIENT and name not in MUTANT_LABELS
)
SINGLES = [
    labelled(name, BY_NAME[name].cell, kinds, lines, partial(_gradients, BY_NAME[name]))
    for name, (kinds, lines) in MUTANT_LABELS.items()
]
SINGLES += [*_rows("gru", CHAPTERS[9]), *_rows("lstm", CHAPTERS[10])]
