"""SEALED set D: wrong gradients with labels, written by somebody who has not seen the diagnosis.

Whoever writes the diagnosis does not open this file. One mistake in each: first edits of the references, then
edits of other people's nets. The kinds and lines are those that a careful teacher would accept.
"""

from gradient_mistakes import Wrong, single, student
from sealed_nets import (
    gru_cells,
    gru_gates,
    gru_samples,
    gru_stacked,
    lstm_course,
    lstm_gates,
    lstm_samples,
    lstm_stacked,
    rnn_columns,
    rnn_course,
    rnn_recursive,
    rnn_stacked,
)

DY = "dy_hat = e_clipped / e.size"

# rnn

DA = "da = dh * act_prime(hs[t])"
BACK = "dh = da @ W"
RNN = [
    single("rnn", "state after the step", "OFF_BY_ONE", "dW", ("da.T @ hs[t - 1]", "da.T @ hs[t]")),
    single("rnn", "input before the step", "OFF_BY_ONE", "dU", ("da.T @ x[t - 1]", "da.T @ x[t - 2]")),
    single(
        "rnn",
        "output sees the state before the last",
        "OFF_BY_ONE",
        "dV",
        ("dy_hat.T @ hs[-1]", "dy_hat.T @ hs[-2]"),
    ),
    single("rnn", "W for its transpose", "TRANSPOSED", "dh", (BACK, "dh = da @ W.T")),
    single(
        "rnn",
        "nothing to the step before",
        "NOT_HANDED_BACK TRUNCATED",
        "dh",
        (BACK, "dh = np.zeros_like(dh)"),
    ),
    single("rnn", "dh piles up", "TERM", "dh", (BACK, "dh = dh + da @ W")),
    single("rnn", "dh back without the slope", "MISTAKEN FACTOR DERIVATIVE", "dh", (BACK, "dh = dh @ W")),
    single("rnn", "no slope", "DERIVATIVE FACTOR", "da", (DA, "da = dh")),
    single(
        "rnn",
        "slope of the state before",
        "DERIVATIVE OFF_BY_ONE",
        "da",
        (DA, "da = dh * act_prime(hs[t - 1])"),
    ),
    single("rnn", "slope of the sigmoid", "DERIVATIVE", "da", (DA, "da = dh * hs[t] * (1 - hs[t])")),
    single("rnn", "tanh taken twice", "DERIVATIVE", "da", (DA, "da = dh * (1 - np.tanh(hs[t]) ** 2)")),
    single(
        "rnn", "outputs averaged, batch summed", "CONSTANT", "dy_hat", (DY, "dy_hat = e_clipped / y.shape[1]")
    ),
    single("rnn", "square without the half", "CONSTANT", "dy_hat", (DY, "dy_hat = 2 * e_clipped / e.size")),
    single("rnn", "target minus output", "SIGN", "dy_hat", (DY, "dy_hat = -e_clipped / e.size")),
    single("rnn", "W averaged over time", "CONSTANT", "dW", ('"W": dW', '"W": dW / len(x)')),
    single(
        "rnn",
        "two steps back",
        "TRUNCATED",
        "",
        ("range(len(x), 0, -1)", "range(len(x), max(len(x) - 2, 0), -1)"),
    ),
    single(
        "rnn",
        "ends before the first step",
        "STEP_LEFT_OUT",
        "",
        ("range(len(x), 0, -1)", "range(len(x), 1, -1)"),
    ),
    single(
        "rnn", "bias of one step", "NOT_SUMMED", "db dbU dbW", ("db += da.sum(axis=0)", "db = da.sum(axis=0)")
    ),
    single("rnn", "U of one step", "NOT_SUMMED", "dU", ("dU += da.T", "dU = da.T")),
    single("rnn", "second bias forgotten", "ZERO", "dbW biases", ("db.copy()", "np.zeros_like(db)")),
    single(
        "rnn", "output bias averaged", "CONSTANT", "dbV biases", ("dy_hat.sum(axis=0)", "dy_hat.mean(axis=0)")
    ),
    single("rnn", "clipped on the way", "CLIPPED", "dh", (BACK, "dh = np.clip(da @ W, -0.05, 0.05)")),
    single(
        "rnn",
        "single precision for W",
        "PRECISION",
        "dW",
        ("dW += da.T @ hs[t - 1]", "dW += da.T.astype(np.float32) @ hs[t - 1].astype(np.float32)"),
    ),
    single("rnn", "weight decay", "TERM", "dW", ('"W": dW', '"W": dW + 0.01 * W')),
]

# gru

DN = "da_n = dh * (1 - z) * (1 - n * n)"
DR = "da_r = da_n * w_n * (r * (1 - r))"
DZ = "da_z = dh * (h_before - n) * (z * (1 - z))"
DH = "dh = dh * z + dw @ W"
DU = "du = np.concatenate((da_r, da_z, da_n), axis=1)"
DW = "dw = np.concatenate((da_r, da_z, da_n * r), axis=1)"
LOOP = "range(len(x) - 1, -1, -1)"
GRU = [
    single("gru", "no reset in dw", "FACTOR MISTAKEN", "dw", (DW, "dw = du")),
    single("gru", "straight way dropped", "NOT_HANDED_BACK TERM", "dh", (DH, "dh = dw @ W")),
    single("gru", "only the straight way", "NOT_HANDED_BACK TERM", "dh", (DH, "dh = dh * z")),
    single("gru", "the other share straight", "MISTAKEN", "dh", (DH, "dh = dh * (1 - z) + dw @ W")),
    single("gru", "straight without the gate", "FACTOR", "dh", (DH, "dh = dh + dw @ W")),
    single("gru", "candidate kept by z", "MISTAKEN", "da_n", (DN, "da_n = dh * z * (1 - n * n)")),
    single("gru", "candidate not squared", "DERIVATIVE", "da_n", (DN, "da_n = dh * (1 - z) * (1 - n)")),
    single("gru", "candidate less old", "SIGN", "da_z", (DZ, "da_z = dh * (n - h_before) * (z * (1 - z))")),
    single(
        "gru", "update without its slope", "DERIVATIVE FACTOR", "da_z", (DZ, "da_z = dh * (h_before - n)")
    ),
    single(
        "gru", "update without the old state", "TERM", "da_z", (DZ, "da_z = dh * (0 - n) * (z * (1 - z))")
    ),
    single("gru", "reset without its slope", "DERIVATIVE FACTOR", "da_r", (DR, "da_r = da_n * w_n")),
    single(
        "gru", "reset times the state", "MISTAKEN", "da_r", (DR, "da_r = da_n * h_before * (r * (1 - r))")
    ),
    single(
        "gru",
        "slope of the other gate",
        "MISTAKEN DERIVATIVE",
        "da_r",
        (DR, "da_r = da_n * w_n * (z * (1 - z))"),
    ),
    single(
        "gru",
        "update first",
        "ORDER",
        "du dw",
        (DU, "du = np.concatenate((da_z, da_r, da_n), axis=1)"),
        (DW, "dw = np.concatenate((da_z, da_r, da_n * r), axis=1)"),
    ),
    single("gru", "W meets the new state", "OFF_BY_ONE", "dW", ("dw.T @ h_before", "dw.T @ cache[t].h")),
    single(
        "gru",
        "blocks of W not transposed",
        "TRANSPOSED",
        "dh",
        (DH, "dh = dh * z + dw @ np.concatenate([block.T for block in np.split(W, 3)])"),
    ),
    single("gru", "first step missing", "STEP_LEFT_OUT", "", (LOOP, "range(len(x) - 1, 0, -1)")),
    single("gru", "last step missing", "STEP_LEFT_OUT", "", (LOOP, "range(len(x) - 2, -1, -1)")),
    single("gru", "window of two", "TRUNCATED", "", (LOOP, "range(len(x) - 1, max(len(x) - 3, -1), -1)")),
    single("gru", "U averaged once more", "CONSTANT", "dU", ("du.T @ x[t]", "du.T @ x[t] / len(y)")),
    single("gru", "bias of inputs assigned", "NOT_SUMMED", "dbU", ('grads["bU"] += du', 'grads["bU"] = du')),
    single("gru", "one bias for both", "MISTAKEN FACTOR", "dbW", ("dw.sum(axis=0)", "du.sum(axis=0)")),
    single(
        "gru", "clipped at each step", "CLIPPED", "dh", (DH, "dh = np.clip(dh * z + dw @ W, -0.05, 0.05)")
    ),
    single("gru", "square without the half", "CONSTANT", "dy_hat", (DY, "dy_hat = 2 * e_clipped / e.size")),
]

# lstm

DC = "dc = dc + dh * o * (1 - tanh_c * tanh_c)"
KEEP = "dc = dc * f"
DI = "da_i = dc * g * (i * (1 - i))"
DF = "da_f = dc * c_before * (f * (1 - f))"
DG = "da_g = dc * i * (1 - g * g)"
DO = "da_o = dh * tanh_c * (o * (1 - o))"
GATES = "(da_i, da_f, da_g, da_o)"
LSTM = [
    single("lstm", "cell not handed back", "NOT_HANDED_BACK", "dc", (KEEP, "dc = np.zeros_like(dc)")),
    single("lstm", "state not handed back", "NOT_HANDED_BACK", "dh", (BACK, "dh = np.zeros_like(dh)")),
    single("lstm", "tanh_c not squared", "DERIVATIVE", "dc", (DC, "dc = dc + dh * o * (1 - tanh_c)")),
    single(
        "lstm", "c squared for tanh_c", "DERIVATIVE MISTAKEN", "dc", (DC, "dc = dc + dh * o * (1 - c * c)")
    ),
    single("lstm", "no slope of tanh_c", "DERIVATIVE FACTOR", "dc", (DC, "dc = dc + dh * o")),
    single("lstm", "no output gate", "FACTOR", "dc", (DC, "dc = dc + dh * (1 - tanh_c * tanh_c)")),
    single("lstm", "cell back without forgetting", "FACTOR", "dc", (KEEP, "dc = dc * 1")),
    single("lstm", "cell back by the input gate", "MISTAKEN", "dc", (KEEP, "dc = dc * i")),
    single("lstm", "forget meets the new cell", "OFF_BY_ONE", "da_f", (DF, "da_f = dc * c * (f * (1 - f))")),
    single("lstm", "forget without its slope", "DERIVATIVE FACTOR", "da_f", (DF, "da_f = dc * c_before")),
    single("lstm", "input gate meets itself", "MISTAKEN", "da_i", (DI, "da_i = dc * i * (i * (1 - i))")),
    single("lstm", "candidate as a sigmoid", "DERIVATIVE", "da_g", (DG, "da_g = dc * i * (g * (1 - g))")),
    single("lstm", "output gate meets c", "MISTAKEN", "da_o", (DO, "da_o = dh * c * (o * (1 - o))")),
    single(
        "lstm", "output gate from the cell", "MISTAKEN", "da_o", (DO, "da_o = dc * tanh_c * (o * (1 - o))")
    ),
    single("lstm", "output before candidate", "ORDER", "da", (GATES, "(da_i, da_f, da_o, da_g)")),
    single("lstm", "W meets the new state", "OFF_BY_ONE", "dW", ("da.T @ h_before", "da.T @ cache[t].h")),
    single("lstm", "second bias forgotten", "ZERO", "dbW", ('grads["bW"] += grads["bU"]', "pass")),
    single(
        "lstm", "bias averaged over the batch", "CONSTANT", "dbU dbW", ("da.sum(axis=0)", "da.mean(axis=0)")
    ),
    single("lstm", "minus on the way back", "SIGN", "dh", (BACK, "dh = -da @ W")),
    single("lstm", "dh piles up", "TERM", "dh", (BACK, "dh = dh + da @ W")),
    single(
        "lstm", "clipped gates", "CLIPPED", "da", (f"{GATES}, axis=1)", f"{GATES}, axis=1).clip(-0.01, 0.01)")
    ),
    single("lstm", "U assigned", "NOT_SUMMED", "dU", ('grads["U"] += da', 'grads["U"] = da')),
    single(
        "lstm", "cell kept in single precision", "PRECISION", "dc", (KEEP, "dc = (dc * f).astype(np.float32)")
    ),
    single("lstm", "stops at the second step", "STEP_LEFT_OUT", "", (LOOP, "range(len(x) - 1, 0, -1)")),
]

SINGLES = RNN + GRU + LSTM

STUDENTS = [
    student(
        "rnn",
        rnn_columns,
        "no transpose on the way back",
        "TRANSPOSED",
        "dh",
        ("dhnext = Whh.T @ dhraw", "dhnext = Whh @ dhraw"),
    ),
    student(
        "rnn", rnn_columns, "one sample's output bias", "NOT_SUMMED", "dbV biases", ("dby += dy", "dby = dy")
    ),
    student("rnn", rnn_stacked, "states one too late", "OFF_BY_ONE", "dW", ("g_a, h[:-1])", "g_a, h[1:])")),
    student(
        "rnn",
        rnn_stacked,
        "mean of biases over time",
        "CONSTANT",
        "dbU db biases",
        ('grads["bU"] = g_a.sum(axis=(0, 1))', 'grads["bU"] = g_a.sum(axis=1).mean(axis=0)'),
    ),
    student(
        "rnn",
        rnn_recursive,
        "slope left out of the return",
        "MISTAKEN FACTOR DERIVATIVE",
        "dh",
        ('g_pre @ params["W"]', 'g_state @ params["W"]'),
    ),
    student(
        "rnn",
        rnn_course,
        "later steps forgotten",
        "NOT_HANDED_BACK TRUNCATED",
        "dh",
        ("da[:, :, t] + da_prevt", "da[:, :, t]"),
    ),
    student(
        "gru",
        gru_gates,
        "update gate's way dropped",
        "NOT_HANDED_BACK TERM",
        "dh",
        ("d_old = d_old + d_pre_z @ Wz", "pass"),
    ),
    student(
        "gru",
        gru_gates,
        "recurrent bias without reset",
        "MISTAKEN FACTOR",
        "dbW",
        ("dbwn += d_q.sum(0)", "dbwn += d_pre_n.sum(0)"),
    ),
    student(
        "gru",
        gru_samples,
        "reset left out on the right",
        "FACTOR MISTAKEN",
        "dw",
        ("g_right[N] *= reset", "pass"),
    ),
    student("gru", gru_stacked, "old state added", "TERM SIGN", "da_z", ("(S[t] - NN[t])", "(S[t] + NN[t])")),
    student(
        "gru",
        gru_cells,
        "shares exchanged",
        "MISTAKEN",
        "dh",
        ("dprev = dnext * z", "dprev = dnext * (1 - z)"),
    ),
    student("gru", gru_cells, "last cell wins", "NOT_SUMMED", "", ("total.get(name, 0) + value", "value")),
    student(
        "lstm",
        lstm_gates,
        "forgotten forget gate on the way",
        "NOT_HANDED_BACK TERM",
        "dh",
        (" + zf @ Wf", ""),
    ),
    student(
        "lstm",
        lstm_gates,
        "candidate's slope of a sigmoid",
        "DERIVATIVE",
        "da_g",
        ("dg * (1 - g**2)", "dg * g * (1 - g)"),
    ),
    student(
        "lstm",
        lstm_samples,
        "slope at the old cell",
        "DERIVATIVE OFF_BY_ONE",
        "dc",
        ("(1 - np.tanh(C[t]) ** 2)", "(1 - np.tanh(C[t - 1]) ** 2)"),
    ),
    student(
        "lstm",
        lstm_stacked,
        "cell handed back whole",
        "FACTOR",
        "dc",
        ("d_mem = d_mem * forget", "d_mem = d_mem * 1.0"),
    ),
    student(
        "lstm",
        lstm_course,
        "slope of the cell left out of the forget gate",
        "DERIVATIVE FACTOR",
        "da_f",
        ("ot * (1 - tanh_c**2) * c_prev * da_next", "ot * c_prev * da_next"),
    ),
    student(
        "lstm",
        lstm_course,
        "tanh for the slope of tanh",
        "DERIVATIVE MISTAKEN",
        "da_g",
        ("(1 - cct**2)", "(1 - np.tanh(cct) ** 2)"),
    ),
]

ROUNDED: tuple[Wrong, ...] = ()
RANDOM: tuple[Wrong, ...] = ()
PAIRS: tuple[Wrong, ...] = ()
OTHERS: tuple[Wrong, ...] = ()
