"""SEALED set A: wrong gradients with labels, written before the diagnosis and without it.

Whoever writes the diagnosis does not open this file. Of each: its cell, its name, the kinds that a careful
teacher would accept, the left sides of the lines in which it may be said to be, and what is changed.
"""
# ruff: noqa: E501  (a mistake a line)

from gradient_mistakes import net, pairs, rounded, single, student, with_noise, wrong
from sealed_nets import (
    char_rnn,
    gru_before,
    gru_gates,
    gru_samples,
    lstm_every_step,
    lstm_gates,
    lstm_samples,
    minimal_gated,
    mlp,
    rnn_columns,
    rnn_stacked,
)

RNN_DH = "dh = da @ W"
RNN_DA = "da = dh * act_prime(hs[t])"
RNN_END = 'return loss, {"U": dU, "W": dW, "V": dV} | biases'
RNN_LOOP = "for t in range(len(x), 0, -1):"
GRU_DH = "dh = dh * z + dw @ W"
GRU_N = "da_n = dh * (1 - z) * (1 - n * n)"
GRU_R = "da_r = da_n * w_n * (r * (1 - r))"
GRU_Z = "da_z = dh * (h_before - n) * (z * (1 - z))"
GRU_DW = "dw = np.concatenate((da_r, da_z, da_n * r), axis=1)"
LSTM_DC = "dc = dc + dh * o * (1 - tanh_c * tanh_c)"
LSTM_I = "da_i = dc * g * (i * (1 - i))"
LSTM_F = "da_f = dc * c_before * (f * (1 - f))"
LSTM_G = "da_g = dc * i * (1 - g * g)"
LSTM_O = "da_o = dh * tanh_c * (o * (1 - o))"
LSTM_DH = "dh = da @ W"
DOWN = "for t in range(len(x) - 1, -1, -1):"
END = "    return loss, grads\n"
DY = "dy_hat = e_clipped / e.size"

RNN = [
    single(
        "rnn",
        "dh zeroed",
        "NOT_HANDED_BACK TRUNCATED",
        "dh",
        (RNN_DH, "dh = np.zeros_like(dh)"),
    ),
    single("rnn", "W.T", "TRANSPOSED", "dh", (RNN_DH, "dh = da @ W.T")),
    single("rnn", "dh @ W", "DERIVATIVE MISTAKEN", "dh", (RNN_DH, "dh = dh @ W")),
    single("rnn", "no act'", "DERIVATIVE", "da", (RNN_DA, "da = dh")),
    single(
        "rnn",
        "act' of the step before",
        "OFF_BY_ONE DERIVATIVE",
        "da",
        (RNN_DA, "da = dh * act_prime(hs[t - 1])"),
    ),
    single("rnn", "x one earlier", "OFF_BY_ONE", "dU", ("da.T @ x[t - 1]", "da.T @ x[t - 2]")),
    single("rnn", "h of now", "OFF_BY_ONE MISTAKEN", "dW", ("da.T @ hs[t - 1]", "da.T @ hs[t]")),
    single("rnn", "first step left out", "STEP_LEFT_OUT", "", (RNN_LOOP, "for t in range(len(x), 1, -1):")),
    single("rnn", "mean over batch alone", "CONSTANT", "dy_hat", (DY, "dy_hat = e_clipped / len(e)")),
    single("rnn", "2 e", "CONSTANT", "dy_hat", (DY, "dy_hat = 2 * e_clipped / e.size")),
    single("rnn", "y - y_hat", "SIGN", "dy_hat", (DY, "dy_hat = -e_clipped / e.size")),
    single("rnn", "db of the last term", "NOT_SUMMED", "db", ("db += da.sum(axis=0)", "db = da.sum(axis=0)")),
    single("rnn", "bV mean", "CONSTANT", "", ('"bV": dy_hat.sum(axis=0)', '"bV": dy_hat.mean(axis=0)')),
    single("rnn", "dU of the last term", "NOT_SUMMED", "dU", ("dU += da.T", "dU = da.T")),
    single(
        "rnn",
        "divided by the batch again",
        "CONSTANT",
        "",
        (RNN_END, 'return loss, {"U": dU / len(y), "W": dW / len(y), "V": dV} | biases'),
    ),
    single(
        "rnn",
        "mean over time",
        "CONSTANT",
        "",
        (
            RNN_END,
            'return loss, {"U": dU / len(x), "W": dW / len(x), "V": dV, **biases, "bU": db / len(x), "bW": db / len(x)}',
        ),
    ),
    single("rnn", "dh clipped", "CLIPPED", "dh", (RNN_DH, "dh = np.clip(da @ W, -0.1, 0.1)")),
    single(
        "rnn",
        "clipped at the end",
        "CLIPPED",
        "",
        (
            RNN_END,
            'grads = {"U": dU, "W": dW, "V": dV} | biases\n    for grad in grads.values():\n        np.clip(grad, -1, 1, out=grad)\n    return loss, grads',
        ),
    ),
    single(
        "rnn", "da in float32", "PRECISION", "da", (RNN_DA, "da = (dh * act_prime(hs[t])).astype(np.float32)")
    ),
    single(
        "rnn",
        "two steps",
        "TRUNCATED",
        "",
        (RNN_LOOP, RNN_LOOP + "\n        if len(x) - t >= 2:\n            break"),
    ),
    single("rnn", "db of the first sample", "NOT_SUMMED", "db", ("db += da.sum(axis=0)", "db += da[0]")),
    single("rnn", "dh added to", "TERM", "dh", (RNN_DH, "dh = dh + da @ W")),
    single("rnn", "tanh of tanh", "DERIVATIVE", "da", (RNN_DA, "da = dh * (1 - np.tanh(hs[t]) ** 2)")),
    single("rnn", "bW forgotten", "ZERO", "", ('"bW": db.copy()', '"bW": np.zeros_like(db)')),
    single("rnn", "V with the state before", "OFF_BY_ONE", "dV", ("dy_hat.T @ hs[-1]", "dy_hat.T @ hs[-2]")),
    single("rnn", "sigmoid'", "DERIVATIVE", "da", (RNN_DA, "da = dh * hs[t] * (1 - hs[t])")),
    single("rnn", "dh for da in U", "DERIVATIVE MISTAKEN", "dU", ("da.T @ x[t - 1]", "dh.T @ x[t - 1]")),
]
GRU = [
    single("gru", "no 1 - z", "FACTOR", "da_n", (GRU_N, "da_n = dh * (1 - n * n)")),
    single("gru", "no tanh'", "DERIVATIVE", "da_n", (GRU_N, "da_n = dh * (1 - z)")),
    single("gru", "no r'", "DERIVATIVE", "da_r", (GRU_R, "da_r = da_n * w_n")),
    single("gru", "no w_n", "FACTOR", "da_r", (GRU_R, "da_r = da_n * (r * (1 - r))")),
    single("gru", "h for w_n", "MISTAKEN", "da_r", (GRU_R, "da_r = da_n * h_before * (r * (1 - r))")),
    single(
        "gru", "dh for da_n", "MISTAKEN FACTOR DERIVATIVE", "da_r", (GRU_R, "da_r = dh * w_n * (r * (1 - r))")
    ),
    single("gru", "no z'", "DERIVATIVE", "da_z", (GRU_Z, "da_z = dh * (h_before - n)")),
    single("gru", "no n", "TERM", "da_z", (GRU_Z, "da_z = dh * h_before * (z * (1 - z))")),
    single(
        "gru", "new h", "OFF_BY_ONE MISTAKEN", "da_z", (GRU_Z, "da_z = dh * (cache[t].h - n) * (z * (1 - z))")
    ),
    single("gru", "tanh' of z", "DERIVATIVE", "da_z", (GRU_Z, "da_z = dh * (h_before - n) * (1 - z * z)")),
    single(
        "gru", "z for r", "MISTAKEN", "dw", (GRU_DW, "dw = np.concatenate((da_r, da_z, da_n * z), axis=1)")
    ),
    single(
        "gru",
        "z r n in dw",
        "ORDER MISTAKEN",
        "dw",
        (GRU_DW, "dw = np.concatenate((da_z, da_r, da_n * r), axis=1)"),
    ),
    single("gru", "x one earlier", "OFF_BY_ONE", "dU", ("du.T @ x[t]", "du.T @ x[t - 1]")),
    single("gru", "1 - z straight", "MISTAKEN", "dh", (GRU_DH, "dh = dh * (1 - z) + dw @ W")),
    single("gru", "straight without z", "FACTOR", "dh", (GRU_DH, "dh = dh + dw @ W")),
    single("gru", "du back", "MISTAKEN FACTOR", "dh", (GRU_DH, "dh = dh * z + du @ W")),
    single(
        "gru",
        "back through n alone",
        "TERM NOT_HANDED_BACK",
        "dh",
        (GRU_DH, "H = z.shape[1]\n        dh = dh * z + dw[:, 2 * H :] @ W[2 * H :]"),
    ),
    single(
        "gru",
        "bW with du",
        "MISTAKEN FACTOR",
        "dbW",
        ('grads["bW"] += dw.sum(axis=0)', 'grads["bW"] += du.sum(axis=0)'),
    ),
    single("gru", "bW of the last term", "NOT_SUMMED", "dbW", ('grads["bW"] += dw', 'grads["bW"] = dw')),
    single("gru", "first step left out", "STEP_LEFT_OUT", "", (DOWN, "for t in range(len(x) - 1, 0, -1):")),
    single(
        "gru", "two steps", "TRUNCATED", "", (DOWN, "for t in range(len(x) - 1, max(len(x) - 3, -1), -1):")
    ),
    single("gru", "dh clipped", "CLIPPED", "dh", (GRU_DH, "dh = np.clip(dh * z + dw @ W, -0.1, 0.1)")),
    single(
        "gru",
        "du in float32",
        "PRECISION",
        "du",
        (
            "du = np.concatenate((da_r, da_z, da_n), axis=1)",
            "du = np.concatenate((da_r, da_z, da_n), axis=1).astype(np.float32)",
        ),
    ),
    single("gru", "bV mean", "CONSTANT", "dbV", ("dy_hat.sum(axis=0)", "dy_hat.mean(axis=0)")),
    single(
        "gru",
        "all by the batch",
        "CONSTANT",
        "",
        (END, "    return loss, {name: grad / len(y) for name, grad in grads.items()}\n"),
    ),
    single("gru", "dh doubled", "CONSTANT", "dh", ("dh = dy_hat @ V", "dh = 2 * (dy_hat @ V)")),
    single(
        "gru",
        "norm clipped",
        "CLIPPED",
        "",
        (
            END,
            "    size = np.sqrt(sum(np.sum(grad**2) for grad in grads.values()))\n    return loss, {name: grad * min(1, 1 / size) for name, grad in grads.items()}\n",
        ),
    ),
]
LSTM = [
    single(
        "lstm",
        "dc from h alone",
        "NOT_HANDED_BACK TERM",
        "dc",
        (LSTM_DC, "dc = dh * o * (1 - tanh_c * tanh_c)"),
    ),
    single("lstm", "no tanh' in dc", "DERIVATIVE", "dc", (LSTM_DC, "dc = dc + dh * o")),
    single("lstm", "no i'", "DERIVATIVE", "da_i", (LSTM_I, "da_i = dc * g")),
    single("lstm", "no g in i", "FACTOR", "da_i", (LSTM_I, "da_i = dc * (i * (1 - i))")),
    single("lstm", "f for g in i", "MISTAKEN", "da_i", (LSTM_I, "da_i = dc * f * (i * (1 - i))")),
    single("lstm", "no c_before", "FACTOR", "da_f", (LSTM_F, "da_f = dc * (f * (1 - f))")),
    single("lstm", "tanh' of f", "DERIVATIVE", "da_f", (LSTM_F, "da_f = dc * c_before * (1 - f * f)")),
    single("lstm", "no i in g", "FACTOR", "da_g", (LSTM_G, "da_g = dc * (1 - g * g)")),
    single("lstm", "sigmoid' of g", "DERIVATIVE", "da_g", (LSTM_G, "da_g = dc * i * g * (1 - g)")),
    single("lstm", "no tanh(c) in o", "FACTOR", "da_o", (LSTM_O, "da_o = dh * (o * (1 - o))")),
    single(
        "lstm",
        "c for tanh(c) in o",
        "MISTAKEN DERIVATIVE FACTOR",
        "da_o",
        (LSTM_O, "da_o = dh * c * (o * (1 - o))"),
    ),
    single("lstm", "dc for dh in o", "MISTAKEN", "da_o", (LSTM_O, "da_o = dc * tanh_c * (o * (1 - o))")),
    single("lstm", "i o f g", "ORDER", "da", ("(da_i, da_f, da_g, da_o)", "(da_i, da_o, da_f, da_g)")),
    single("lstm", "dh zeroed", "NOT_HANDED_BACK TERM", "dh", (LSTM_DH, "dh = np.zeros_like(dh)")),
    single(
        "lstm", "back through i alone", "TERM NOT_HANDED_BACK", "dh", (LSTM_DH, "dh = da_i @ W[: i.shape[1]]")
    ),
    single("lstm", "dc * i", "MISTAKEN", "dc", ("dc = dc * f ", "dc = dc * i ")),
    single("lstm", "dc * f * o", "FACTOR", "dc", ("dc = dc * f ", "dc = dc * f * o ")),
    single(
        "lstm",
        "c two steps before",
        "OFF_BY_ONE",
        "da_f c_before h_before",
        (LSTM_F, "da_f = dc * (cache[t - 2].c if t > 1 else first[1]) * (f * (1 - f))"),
    ),
    single(
        "lstm",
        "x from the other end",
        "OFF_BY_ONE ORDER MISTAKEN",
        "dU",
        ("da.T @ x[t]", "da.T @ x[len(x) - 1 - t]"),
    ),
    single("lstm", "W of the last term", "NOT_SUMMED", "dW", ('grads["W"] += da.T', 'grads["W"] = da.T')),
    single("lstm", "bW forgotten", "ZERO", "dbW", ('grads["bW"] += grads["bU"]', "pass")),
    single(
        "lstm",
        "bW twice",
        "CONSTANT",
        "dbW",
        ('grads["bW"] += grads["bU"]', 'grads["bW"] += 2 * grads["bU"]'),
    ),
    single("lstm", "last step left out", "STEP_LEFT_OUT", "", (DOWN, "for t in range(len(x) - 2, -1, -1):")),
    single(
        "lstm",
        "three steps",
        "TRUNCATED",
        "",
        (DOWN, DOWN + "\n        if t < len(x) - 3:\n            break"),
    ),
    single("lstm", "dh clipped", "CLIPPED", "dh", (LSTM_DH, "dh = np.clip(da @ W, -0.1, 0.1)")),
    single(
        "lstm",
        "dc in float32",
        "PRECISION",
        "dc",
        (LSTM_DC, "dc = (dc + dh * o * (1 - tanh_c * tanh_c)).astype(np.float32)"),
    ),
    single("lstm", "y - y_hat", "SIGN", "dy_hat", (DY, "dy_hat = -e_clipped / e.size")),
    single(
        "lstm",
        "clipped at the end",
        "CLIPPED",
        "",
        (END, "    return loss, {name: np.clip(grad, -0.5, 0.5) for name, grad in grads.items()}\n"),
    ),
]
SINGLES = RNN + GRU + LSTM

STUDENTS = [
    student("rnn", rnn_columns, "no tanh'", "DERIVATIVE", "da", ("dhraw = (1 - hs[t] * hs[t]) * dhnext", "dhraw = dhnext")),
    student("rnn", rnn_columns, "Whh", "TRANSPOSED", "dh", ("dhnext = Whh.T @ dhraw", "dhnext = Whh @ dhraw")),
    student("rnn", rnn_columns, "dhnext clipped", "CLIPPED", "dh", ("dhnext = Whh.T @ dhraw", "dhnext = np.clip(Whh.T @ dhraw, -0.05, 0.05)")),
    student("rnn", rnn_columns, "dWhh assigned", "NOT_SUMMED", "dW", ("dWhh += dhraw", "dWhh = dhraw")),
    student("rnn", rnn_stacked, "h of now", "OFF_BY_ONE MISTAKEN", "dW", ("g_a, h[:-1])", "g_a, h[1:])")),
    student("rnn", rnn_stacked, "h of before", "OFF_BY_ONE DERIVATIVE", "da", ("(1 - h[t + 1] ** 2)", "(1 - h[t] ** 2)")),
    student("rnn", rnn_stacked, "bias mean over samples", "CONSTANT", "db biases", ('grads["bU"] = g_a.sum(axis=(0, 1))', 'grads["bU"] = g_a.sum(axis=0).mean(axis=0)')),
    student("rnn", rnn_stacked, "last step alone", "NOT_HANDED_BACK TRUNCATED", "dh", ("back = g_a[t] @ W", "back = 0 * back")),
    student("gru", gru_gates, "no way through r", "TERM NOT_HANDED_BACK", "dh", ("d_old = d_old + d_pre_r @ Wr", "pass")),
    student("gru", gru_gates, "no straight way", "TERM NOT_HANDED_BACK", "dh", ("d_old = d_h * z", "d_old = 0")),
    student("gru", gru_gates, "d_cand for d_pre_n", "DERIVATIVE MISTAKEN", "da_r", ("d_r = d_pre_n * q", "d_r = d_cand * q")),
    student("gru", gru_gates, "Wz and Wr exchanged", "MISTAKEN ORDER", "dh", ("d_old + d_pre_r @ Wr", "d_old + d_pre_r @ Wz"), ("d_old + d_pre_z @ Wz", "d_old + d_pre_z @ Wr")),
    student("gru", gru_samples, "reset everywhere", "FACTOR", "dw", ("g_right[N] *= reset", "g_right *= np.tile(reset, 3)")),
    student("gru", gru_samples, "new state", "OFF_BY_ONE MISTAKEN", "dW", ("np.outer(g_right, hidden[t])", "np.outer(g_right, hidden[t + 1])")),
    student("gru", gru_samples, "no update'", "DERIVATIVE", "da_z", ("(hidden[t] - fresh) * update * (1 - update)", "(hidden[t] - fresh)")),
    student("gru", gru_samples, "last sample's V", "NOT_SUMMED", "dV", ('grads["V"] += np.outer', 'grads["V"] = np.outer')),
    student("lstm", lstm_gates, "dc not handed back", "NOT_HANDED_BACK TERM", "dc", ("dc = f * dc", "dc = np.zeros_like(dc)")),
    student("lstm", lstm_gates, "no way through f", "TERM NOT_HANDED_BACK", "dh", ("zi @ Wi + zf @ Wf", "zi @ Wi")),
    student("lstm", lstm_gates, "sigmoid' of f's input", "DERIVATIVE", "da_f", ("zf = df * f * (1 - f)", "zf = df * sig(f) * (1 - sig(f))")),
    student("lstm", lstm_gates, "i and f exchanged", "ORDER", "da", ("np.vstack([dWi, dWf, dWg, dWo])", "np.vstack([dWf, dWi, dWg, dWo])")),
    student("lstm", lstm_samples, "new cell in f", "OFF_BY_ONE MISTAKEN", "da_f", ("gc * C[t - 1], gc * i", "gc * C[t], gc * i")),
    student("lstm", lstm_samples, "o left out", "FACTOR", "dc", ("gc += gh * o *", "gc += gh *")),
    student("lstm", lstm_samples, "bU assigned", "NOT_SUMMED", "dbU", ('grads["bU"] += gnet', 'grads["bU"] = gnet')),
    student("lstm", lstm_samples, "1 - tanh", "DERIVATIVE", "dc", ("(1 - np.tanh(C[t]) ** 2)", "(1 - np.tanh(C[t]))")),
]  # fmt: skip

OTHERS = [
    net(char_rnn, "dhnext never used", "NOT_HANDED_BACK TRUNCATED TERM", ("np.dot(Why.T, dy) + dhnext", "np.dot(Why.T, dy)")),
    net(char_rnn, "Whh not transposed", "TRANSPOSED", ("dhnext = np.dot(Whh.T, dhraw)", "dhnext = np.dot(Whh, dhraw)")),
    net(char_rnn, "mean over time", "CONSTANT", ("dy = ps[t] - targets[t][:, None]", "dy = (ps[t] - targets[t][:, None]) / len(inputs)")),
    net(char_rnn, "clipped as in the gist", "CLIPPED", ("    return loss, {", "    for dparam in (dWxh, dWhh, dWhy, dbh, dby):\n        np.clip(dparam, -0.5, 0.5, out=dparam)\n    return loss, {")),
    net(char_rnn, "by of the last term", "NOT_SUMMED", ("dby += dy", "dby = dy")),
    net(mlp, "no mean", "CONSTANT", ("dscores = (probs - labels) / len(X)", "dscores = probs - labels")),
    net(mlp, "sign", "SIGN", ("(probs - labels) / len(X)", "(labels - probs) / len(X)")),
    net(mlp, "b2 mean", "CONSTANT", ("dz2.sum(axis=0)", "dz2.mean(axis=0)")),
    net(mlp, "b1 of one sample", "NOT_SUMMED", ("dz1.sum(axis=0)", "dz1[-1]")),
    net(minimal_gated, "h new for old", "OFF_BY_ONE MISTAKEN", ('g["Whf"] += df.T @ old', 'g["Whf"] += df.T @ ((1 - f) * old + f * n)')),
    net(minimal_gated, "Wxn assigned", "NOT_SUMMED", ('g["Wxn"] += dn.T', 'g["Wxn"] = dn.T')),
    net(minimal_gated, "float32", "PRECISION", ("    return loss, g", "    return loss, {k: v.astype(np.float32).astype(np.float64) for k, v in g.items()}")),
    net(gru_before, "half twice", "CONSTANT", ("d = diff / diff.size", "d = 2 * diff / diff.size")),
    net(gru_before, "Whz transposed", "TRANSPOSED", ('grads["Whz"] += hp.T @ dz', 'grads["Whz"] += dz.T @ hp')),
    net(gru_before, "bz never", "ZERO", ('grads["bz"] += dz.sum(0)', "pass")),
    net(gru_before, "dh not handed back", "NOT_HANDED_BACK TRUNCATED", ("dh = dh * (1 - z) + drh * r", "dh = 0 * drh * r"), (" + dr @ Whr.T + dz @ Whz.T", "")),
    net(lstm_every_step, "no 2", "CONSTANT", ("dout = 2 * (out - y[t]) / y.size", "dout = (out - y[t]) / y.size")),
    net(lstm_every_step, "dh of later steps forgotten", "NOT_HANDED_BACK TERM", ("dnext_h = dout @ Wy.T + dprev_h", "dnext_h = dout @ Wy.T")),
    net(lstm_every_step, "first step left out", "STEP_LEFT_OUT", ("for t in range(len(x) - 1, -1, -1):", "for t in range(len(x) - 1, 0, -1):")),
    net(lstm_every_step, "gates in another order", "ORDER", ("do * o * (1 - o), dg * (1 - g**2)", "dg * (1 - g**2), do * o * (1 - o)")),
]  # fmt: skip

PAIRS = pairs(SINGLES, 48, seed=1)
ROUNDED = [rounded(cell, seed) for cell in ("rnn", "gru", "lstm") for seed in range(5)]

RANDOM = [
    with_noise(cell, parameter, size, seed)
    for cell in ("rnn", "gru", "lstm")
    for seed, (parameter, size) in enumerate(
        [("U", 0.1), ("W", 1e-3), ("V", 0.01), ("bU", 1e-5), ("bW", 1.0), ("bV", 0.3), ("W", 1e-7)]
    )
] + [
    wrong("rnn", "random back", (RNN_DH, "dh = da @ np.random.default_rng(3).normal(size=W.shape)")),
    wrong("rnn", "0.9 h", ("da.T @ hs[t - 1]", "da.T @ (0.9 * hs[t - 1] + 0.1 * hs[t - 1] ** 2)")),
    wrong("rnn", "sine of da", (RNN_DH, "dh = np.sin(da @ W)")),
    wrong("rnn", "leaky act'", (RNN_DA, "da = dh * (0.97 * act_prime(hs[t]) + 0.03)")),
    wrong("rnn", "odd act'", (RNN_DA, "da = dh * (1 - 0.8 * hs[t] ** 2 - 0.1 * hs[t] ** 4)")),
    wrong("rnn", "noisy x", ("da.T @ x[t - 1]", "da.T @ (x[t - 1] + 0.01 * np.cos(7 * x[t - 1]))")),
    wrong("rnn", "fading", (RNN_DH, "dh = 0.93 * da @ W")),
    wrong("gru", "random back", (GRU_DH, "dh = dh * z + dw @ np.random.default_rng(4).normal(size=W.shape)")),
    wrong("gru", "fading", (GRU_DH, "dh = 0.87 * dh * z + dw @ W")),
    wrong("gru", "odd r'", (GRU_R, "da_r = da_n * w_n * np.minimum(r, 1 - r) / 2")),
    wrong("gru", "sine", (GRU_N, "da_n = np.sin(dh * (1 - z) * (1 - n * n))")),
    wrong("gru", "0.37 n", (GRU_Z, "da_z = dh * (h_before - 0.37 * n) * (z * (1 - z))")),
    wrong("gru", "odd x", ("du.T @ x[t]", "du.T @ np.tanh(1.3 * x[t])")),
    wrong("gru", "shifted h", ("dw.T @ h_before", "dw.T @ (h_before + 0.02)")),
    wrong("lstm", "random back", (LSTM_DH, "dh = da @ np.random.default_rng(5).normal(size=W.shape)")),
    wrong("lstm", "0.9 f", ("dc = dc * f ", "dc = dc * (0.9 * f + 0.07) ")),
    wrong("lstm", "odd tanh'", (LSTM_DC, "dc = dc + dh * o / (1 + tanh_c * tanh_c)")),
    wrong("lstm", "odd i'", (LSTM_I, "da_i = dc * g * np.sqrt(i * (1 - i)) / 2")),
    wrong("lstm", "0.6 tanh(c)", (LSTM_O, "da_o = dh * (0.6 * tanh_c + 0.1 * c) * (o * (1 - o))")),
    wrong("lstm", "odd h", ("da.T @ h_before", "da.T @ np.sin(h_before)")),
    wrong("lstm", "mixed", (LSTM_F, "da_f = dc * (0.8 * c_before + 0.2 * c) * (f * (1 - f))")),
]  # fmt: skip
