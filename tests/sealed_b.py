"""SEALED set B: wrong gradients with labels, written before the diagnosis and without it; measured last.

Whoever writes the diagnosis does not open this file. Of each: its cell, its name, the kinds that a careful
teacher would accept, the left sides of the lines in which it may be said to be, and what is changed.
"""
# ruff: noqa: E501  (a mistake a line)

from gradient_mistakes import net, pairs, rounded, single, student, with_noise, wrong
from sealed_nets import (
    char_rnn,
    gru_before,
    gru_cells,
    gru_stacked,
    lstm_course,
    lstm_every_step,
    lstm_stacked,
    minimal_gated,
    mlp,
    rnn_course,
    rnn_recursive,
)

RNN_DH = "dh = da @ W"
RNN_DA = "da = dh * act_prime(hs[t])"
RNN_END = 'return loss, {"U": dU, "W": dW, "V": dV} | biases'
RNN_LOOP = "for t in range(len(x), 0, -1):"
GRU_DH = "dh = dh * z + dw @ W"
GRU_N = "da_n = dh * (1 - z) * (1 - n * n)"
GRU_R = "da_r = da_n * w_n * (r * (1 - r))"
GRU_Z = "da_z = dh * (h_before - n) * (z * (1 - z))"
GRU_DU = "du = np.concatenate((da_r, da_z, da_n), axis=1)"
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
FORWARD = "y_hat, cache = forward(params, x, state=state)"
SINGLE_PRECISION = "params = {name: p.astype(np.float32) for name, p in params.items()}\n    W, V, x, y = params['W'], params['V'], x.astype(np.float32), y.astype(np.float32)\n    "

RNN = [
    single("rnn", "last step left out", "STEP_LEFT_OUT", "", (RNN_LOOP, "for t in range(len(x) - 1, 0, -1):")),
    single("rnn", "dh from the output again", "NOT_HANDED_BACK MISTAKEN", "dh", (RNN_DH, "dh = dy_hat @ V + 0 * da")),
    single("rnn", "dh for da in W", "DERIVATIVE MISTAKEN", "dW", ("da.T @ hs[t - 1]", "dh.T @ hs[t - 1]")),
    single("rnn", "h two steps before", "OFF_BY_ONE", "dW", ("da.T @ hs[t - 1]", "da.T @ hs[max(t - 2, 0)]")),
    single("rnn", "dW transposed", "TRANSPOSED", "dW", ("dW += da.T @ hs[t - 1]", "dW += hs[t - 1].T @ da")),
    single("rnn", "minus on the way back", "SIGN", "dh", (RNN_DH, "dh = -da @ W")),
    single("rnn", "1 + h^2", "DERIVATIVE SIGN TERM", "da", (RNN_DA, "da = dh * (1 + hs[t] ** 2)")),
    single("rnn", "1 - h", "DERIVATIVE", "da", (RNN_DA, "da = dh * (1 - hs[t])")),
    single("rnn", "error not cut", "MISTAKEN DERIVATIVE CLIPPED", "dy_hat", (DY, "dy_hat = e / e.size")),
    single("rnn", "mean over outputs alone", "CONSTANT", "dy_hat", (DY, "dy_hat = e_clipped / e.shape[1]")),
    single("rnn", "no mean", "CONSTANT", "dy_hat", (DY, "dy_hat = e_clipped")),
    single("rnn", "weight decay", "TERM", "dW", (RNN_END, 'return loss, {"U": dU, "W": dW + 0.01 * W, "V": dV} | biases')),
    single("rnn", "db mean", "CONSTANT", "db", ("db += da.sum(axis=0)", "db += da.mean(axis=0)")),
    single("rnn", "three steps", "TRUNCATED", "", (RNN_LOOP, "for t in range(len(x), max(len(x) - 3, 0), -1):")),
    single("rnn", "norm clipped", "CLIPPED", "", (RNN_END, 'grads = {"U": dU, "W": dW, "V": dV} | biases\n    size = np.sqrt(sum(np.sum(g * g) for g in grads.values()))\n    return loss, {name: g if size < 2 else g * 2 / size for name, g in grads.items()}')),
    single("rnn", "float32 wholly", "PRECISION", "", ("y_hat, hs = forward(params, x, activation=activation, state=state)", SINGLE_PRECISION + "y_hat, hs = forward(params, x, activation=activation, state=state)")),
    single("rnn", "dU and dW assigned", "NOT_SUMMED", "dU dW", ("dU += da.T", "dU = da.T"), ("dW += da.T", "dW = da.T")),
    single("rnn", "walked forwards", "ORDER OFF_BY_ONE MISTAKEN", "", (RNN_LOOP, "for t in range(1, len(x) + 1):")),
    single("rnn", "prediction for error in V", "MISTAKEN", "dV", ("dV = dy_hat.T @ hs[-1]", "dV = y_hat.T @ hs[-1]")),
    single("rnn", "bV of one sample", "NOT_SUMMED", "", ('"bV": dy_hat.sum(axis=0)', '"bV": dy_hat[0]')),
    single("rnn", "bU forgotten", "ZERO", "", ('{"bU": db, "bW"', '{"bU": 0 * db, "bW"')),
    single("rnn", "act' twice", "FACTOR DERIVATIVE", "dh", (RNN_DH, "dh = (da @ W) * act_prime(hs[t - 1])")),
    single("rnn", "elementwise product", "MISTAKEN FACTOR", "dh", (RNN_DH, "dh = da * np.diag(W)")),
    single("rnn", "W left out", "FACTOR TERM MISTAKEN", "dh", (RNN_DH, "dh = da")),
    single("rnn", "half", "CONSTANT FACTOR", "da", (RNN_DA, "da = 0.5 * dh * act_prime(hs[t])")),
    single("rnn", "da clipped", "CLIPPED", "da", (RNN_DA, "da = np.clip(dh * act_prime(hs[t]), -0.2, 0.2)")),
    single("rnn", "x of one sample", "NOT_SUMMED", "dU", ("da.T @ x[t - 1]", "np.outer(da[-1], x[t - 1][-1])")),
]  # fmt: skip
GRU = [
    single("gru", "sigmoid' of n", "DERIVATIVE", "da_n", (GRU_N, "da_n = dh * (1 - z) * n * (1 - n)")),
    single("gru", "h in tanh'", "DERIVATIVE MISTAKEN", "da_n", (GRU_N, "da_n = dh * (1 - z) * (1 - cache[t].h ** 2)")),
    single("gru", "tanh' of r", "DERIVATIVE", "da_r", (GRU_R, "da_r = da_n * w_n * (1 - r * r)")),
    single("gru", "n for w_n", "MISTAKEN", "da_r", (GRU_R, "da_r = da_n * n * (r * (1 - r))")),
    single("gru", "minus r", "SIGN", "da_r", (GRU_R, "da_r = -da_n * w_n * (r * (1 - r))")),
    single("gru", "dr through dh (1 - z)", "DERIVATIVE", "da_r", (GRU_R, "da_r = dh * (1 - z) * w_n * (r * (1 - r))")),
    single("gru", "h_before + n", "SIGN TERM", "da_z", (GRU_Z, "da_z = dh * (h_before + n) * (z * (1 - z))")),
    single("gru", "r' for z'", "DERIVATIVE MISTAKEN", "da_z", (GRU_Z, "da_z = dh * (h_before - n) * (r * (1 - r))")),
    single("gru", "no h_before", "TERM", "da_z", (GRU_Z, "da_z = -dh * n * (z * (1 - z))")),
    single("gru", "h of two steps before", "OFF_BY_ONE", "da_z", (GRU_Z, "da_z = dh * ((cache[t - 2].h if t > 1 else h_first) - n) * (z * (1 - z))")),
    single("gru", "z' without 1 - z", "DERIVATIVE FACTOR", "da_z", (GRU_Z, "da_z = dh * (h_before - n) * z")),
    single("gru", "z r n", "ORDER", "du dw", (GRU_DU, "du = np.concatenate((da_z, da_r, da_n), axis=1)"), (GRU_DW, "dw = np.concatenate((da_z, da_r, da_n * r), axis=1)")),
    single("gru", "n z r in du", "ORDER", "du", (GRU_DU, "du = np.concatenate((da_n, da_z, da_r), axis=1)")),
    single("gru", "r on all gates", "FACTOR", "dw", (GRU_DW, "dw = np.concatenate((da_r * r, da_z * r, da_n * r), axis=1)")),
    single("gru", "W two steps before", "OFF_BY_ONE", "dW", ("dw.T @ h_before", "dw.T @ (cache[t - 2].h if t > 1 else h_first)")),
    single("gru", "dw for du in U", "MISTAKEN FACTOR", "dU", ("du.T @ x[t]", "dw.T @ x[t]")),
    single("gru", "r h in W", "FACTOR MISTAKEN", "dW", ("dw.T @ h_before", "dw.T @ (r * h_before)")),
    single("gru", "minus through w", "SIGN TERM", "dh", (GRU_DH, "dh = dh * z - dw @ W")),
    single("gru", "blocks transposed", "TRANSPOSED", "dh", (GRU_DH, "dh = dh * z + sum(part @ block.T for part, block in zip(np.split(dw, 3, axis=1), np.split(W, 3)))")),
    single("gru", "dh zeroed", "NOT_HANDED_BACK TRUNCATED", "dh", (GRU_DH, "dh = np.zeros_like(dh)")),
    single("gru", "no way through z", "TERM NOT_HANDED_BACK", "dh", (GRU_DH, "H = z.shape[1]\n        dh = dh * z + da_r @ W[:H] + (da_n * r) @ W[2 * H :]")),
    single("gru", "last step left out", "STEP_LEFT_OUT", "", (DOWN, "for t in range(len(x) - 2, -1, -1):")),
    single("gru", "bU of one sample", "NOT_SUMMED", "dbU", ("du.sum(axis=0)", "du[0]")),
    single("gru", "bW forgotten", "ZERO", "dbW", ('grads["bW"] += dw.sum(axis=0)', "pass")),
    single("gru", "W assigned", "NOT_SUMMED", "dW", ('grads["W"] += dw.T', 'grads["W"] = dw.T')),
    single("gru", "clipped at the end", "CLIPPED", "", (END, "    return loss, {name: np.clip(grad, -0.25, 0.25) for name, grad in grads.items()}\n")),
    single("gru", "float32 wholly", "PRECISION", "", (FORWARD, SINGLE_PRECISION + FORWARD)),
    single("gru", "mean over time", "CONSTANT", "", (END, "    return loss, {name: g / len(x) if name not in ('V', 'bV') else g for name, g in grads.items()}\n")),
    single("gru", "2 e", "CONSTANT", "dy_hat", (DY, "dy_hat = 2 * e_clipped / e.size")),
    single("gru", "one step", "TRUNCATED NOT_HANDED_BACK STEP_LEFT_OUT", "dh", (GRU_DH, "break")),
]  # fmt: skip
LSTM = [
    single("lstm", "1 - tanh", "DERIVATIVE", "dc", (LSTM_DC, "dc = dc + dh * o * (1 - tanh_c)")),
    single("lstm", "o' in dc", "DERIVATIVE FACTOR", "dc", (LSTM_DC, "dc = dc + dh * o * (1 - o) * (1 - tanh_c * tanh_c)")),
    single("lstm", "f of the step before", "OFF_BY_ONE", "dc", ("dc = dc * f ", "dc = dc * (cache[t - 1].f if t else f) ")),
    single("lstm", "c_before for g", "MISTAKEN", "da_i", (LSTM_I, "da_i = dc * c_before * (i * (1 - i))")),
    single("lstm", "tanh' of i", "DERIVATIVE", "da_i", (LSTM_I, "da_i = dc * g * (1 - i * i)")),
    single("lstm", "no f'", "DERIVATIVE", "da_f", (LSTM_F, "da_f = dc * c_before")),
    single("lstm", "g for c_before", "MISTAKEN", "da_f", (LSTM_F, "da_f = dc * g * (f * (1 - f))")),
    single("lstm", "tanh(c_before)", "MISTAKEN FACTOR DERIVATIVE", "da_f", (LSTM_F, "da_f = dc * np.tanh(c_before) * (f * (1 - f))")),
    single("lstm", "h_before for c_before", "MISTAKEN", "da_f", (LSTM_F, "da_f = dc * h_before * (f * (1 - f))")),
    single("lstm", "no g'", "DERIVATIVE", "da_g", (LSTM_G, "da_g = dc * i")),
    single("lstm", "f for i in g", "MISTAKEN", "da_g", (LSTM_G, "da_g = dc * f * (1 - g * g)")),
    single("lstm", "tanh(c) in g'", "DERIVATIVE MISTAKEN", "da_g", (LSTM_G, "da_g = dc * i * (1 - tanh_c * tanh_c)")),
    single("lstm", "no o'", "DERIVATIVE", "da_o", (LSTM_O, "da_o = dh * tanh_c")),
    single("lstm", "minus o", "SIGN", "da_o", (LSTM_O, "da_o = -dh * tanh_c * (o * (1 - o))")),
    single("lstm", "g for tanh(c)", "MISTAKEN", "da_o", (LSTM_O, "da_o = dh * g * (o * (1 - o))")),
    single("lstm", "f i g o", "ORDER", "da", ("(da_i, da_f, da_g, da_o)", "(da_f, da_i, da_g, da_o)")),
    single("lstm", "i g f o", "ORDER", "da", ("(da_i, da_f, da_g, da_o)", "(da_i, da_g, da_f, da_o)")),
    single("lstm", "blocks transposed", "TRANSPOSED", "dh", (LSTM_DH, "dh = sum(part @ block.T for part, block in zip(np.split(da, 4, axis=1), np.split(W, 4)))")),
    single("lstm", "dh twice", "CONSTANT", "dh", (LSTM_DH, "dh = 2 * da @ W")),
    single("lstm", "a loss at every step", "TERM", "dh", (LSTM_DH, "dh = dy_hat @ V + da @ W")),
    single("lstm", "h of now", "OFF_BY_ONE MISTAKEN", "dW", ("da.T @ h_before", "da.T @ cache[t].h")),
    single("lstm", "U mean", "CONSTANT", "dU", ("da.T @ x[t]", "da.T @ x[t] / len(da)")),
    single("lstm", "bU mean", "CONSTANT", "dbU", ("da.sum(axis=0)", "da.mean(axis=0)")),
    single("lstm", "bU of the last sample", "NOT_SUMMED", "dbU", ("da.sum(axis=0)", "da[-1]")),
    single("lstm", "first step left out", "STEP_LEFT_OUT", "", (DOWN, "for t in range(len(x) - 1, 0, -1):")),
    single("lstm", "two steps", "TRUNCATED", "", (DOWN, DOWN + "\n        if len(x) - t > 2:\n            break")),
    single("lstm", "norm clipped", "CLIPPED", "", (END, "    size = np.sqrt(sum(np.sum(g * g) for g in grads.values()))\n    return loss, {name: g * min(1, 0.5 / size) for name, g in grads.items()}\n")),
    single("lstm", "float32 wholly", "PRECISION", "", (FORWARD, SINGLE_PRECISION + FORWARD)),
    single("lstm", "dc not whole in f", "TERM MISTAKEN", "da_f", (LSTM_DC, "handed, dc = dc, dc + dh * o * (1 - tanh_c * tanh_c)"), (LSTM_F, "da_f = handed * c_before * (f * (1 - f))")),
    single("lstm", "V with c", "MISTAKEN", "dV", ("dy_hat.T @ cache[-1].h", "dy_hat.T @ cache[-1].c")),
]  # fmt: skip
SINGLES = RNN + GRU + LSTM

STUDENTS = [
    student("rnn", rnn_recursive, "W.T", "TRANSPOSED", "dh", ('return loss, g_pre @ params["W"]', 'return loss, g_pre @ params["W"].T')),
    student("rnn", rnn_recursive, "g_state for g_pre", "DERIVATIVE MISTAKEN", "dU", ("g_pre.T @ x[t]", "g_state.T @ x[t]")),
    student("rnn", rnn_recursive, "last step alone", "NOT_HANDED_BACK TRUNCATED", "dh", ("return loss, g_pre @", "return loss, 0 * g_pre @")),
    student("rnn", rnn_recursive, "1 - prev", "OFF_BY_ONE DERIVATIVE MISTAKEN", "da", ("(1 - state**2)", "(1 - prev**2)")),
    student("rnn", rnn_course, "derivative at the wrong thing", "DERIVATIVE", "da", ("np.square(a_next)) * da_next", "np.square(np.tanh(a_next))) * da_next")),
    student("rnn", rnn_course, "da_prevt ignored", "NOT_HANDED_BACK STEP_LEFT_OUT TRUNCATED TERM", "dh", ("da[:, :, t] + da_prevt", "da[:, :, t]")),
    student("rnn", rnn_course, "dba of the last", "NOT_SUMMED", "db", ("dba += np.sum", "dba = np.sum")),
    student("rnn", rnn_course, "no 1/m", "CONSTANT", "dy_hat", ("dy = cut / (m * len(by))", "dy = cut / len(by)")),
    student("gru", gru_stacked, "states not shifted", "OFF_BY_ONE MISTAKEN", "dW", ("DS, S[:T])", "DS, S[1:])")),
    student("gru", gru_stacked, "x shifted", "OFF_BY_ONE", "dU", ("DX, x)", "DX, np.roll(x, 1, axis=0))")),
    student("gru", gru_stacked, "D of one sample in bU", "NOT_SUMMED", "dbU", ('np.einsum("tbg->g", DX)', 'DX[:, 0].sum(axis=0)')),
    student("gru", gru_stacked, "DX back", "MISTAKEN FACTOR", "dh", ('DS[t] @ params["W"]', 'DX[t] @ params["W"]')),
    student("gru", gru_cells, "no n'", "DERIVATIVE", "da_n", ("dn_in = dnext * (1 - z) * (1 - n * n)", "dn_in = dnext * (1 - z)")),
    student("gru", gru_cells, "dhn without r in dprev", "MISTAKEN FACTOR", "dh", ("dprev += dhn @", "dprev += dn_in @")),
    student("gru", gru_cells, "z way left out", "TERM NOT_HANDED_BACK", "dh", (' + dz_in @ params["W"][H : 2 * H]', "")),
    student("gru", gru_cells, "steps overwritten", "NOT_SUMMED", "", ("total[name] = total.get(name, 0) + value", "total[name] = value")),
    student("lstm", lstm_stacked, "mem of now", "OFF_BY_ONE MISTAKEN", "da_f", ("d_mem * mem[t], d_mem * inp", "d_mem * mem[t + 1], d_mem * inp")),
    student("lstm", lstm_stacked, "sigmoid' for all four", "DERIVATIVE", "da_g", ("= 1 - act[:, :, 2 * n : 3 * n] ** 2", "*= 1")),
    student("lstm", lstm_stacked, "d_mem = out", "MISTAKEN", "dc", ("d_mem = d_mem * forget", "d_mem = d_mem * out")),
    student("lstm", lstm_stacked, "d_mem not kept", "NOT_HANDED_BACK TERM", "dc", ("d_mem += d_hid", "d_mem = d_hid")),
    student("lstm", lstm_course, "tanh' forgotten in dft", "DERIVATIVE", "da_f", ("ot * (1 - tanh_c**2) * c_prev * da_next", "ot * c_prev * da_next")),
    student("lstm", lstm_course, "dc_next * ft alone", "TERM NOT_HANDED_BACK", "dc", ("dc_next = dc_next * ft + ot * (1 - tanh_c**2) * ft * da_next", "dc_next = dc_next * ft")),
    student("lstm", lstm_course, "no it in dcct's second", "FACTOR", "da_g", ("(dc_next * it + ot * (1 - tanh_c**2) * it * da_next)", "(dc_next * it + ot * (1 - tanh_c**2) * da_next)")),
    student("lstm", lstm_course, "ot' forgotten", "DERIVATIVE", "da_o", ("da_next * tanh_c * ot * (1 - ot)", "da_next * tanh_c")),
    student("lstm", lstm_course, "Wo left out of da_next", "TERM NOT_HANDED_BACK", "dh", (" + np.dot(Wo[:, :n_a].T, dot)", "")),
]  # fmt: skip

OTHERS = [
    net(char_rnn, "no tanh'", "DERIVATIVE", ("dhraw = (1 - hs[t] * hs[t]) * dh", "dhraw = dh")),
    net(char_rnn, "targets - p", "SIGN", ("dy = ps[t] - targets[t][:, None]", "dy = targets[t][:, None] - ps[t]")),
    net(char_rnn, "dWhh of now", "OFF_BY_ONE MISTAKEN", ("np.dot(dhraw, hs[t - 1].T)", "np.dot(dhraw, hs[t].T)")),
    net(char_rnn, "dWhh transposed", "TRANSPOSED", ("dWhh += np.dot(dhraw, hs[t - 1].T)", "dWhh += np.dot(hs[t - 1], dhraw.T)")),
    net(char_rnn, "dWxh assigned", "NOT_SUMMED", ("dWxh += ", "dWxh = ")),
    net(mlp, "b3 never", "ZERO", ("dscores.sum(axis=0)", "np.zeros_like(params['b3'])")),
    net(mlp, "2 for 1", "CONSTANT", ("dscores = (probs - labels) / len(X)", "dscores = 2 * (probs - labels) / len(X)")),
    net(mlp, "mean over classes too", "CONSTANT", ("(probs - labels) / len(X)", "(probs - labels) / labels.size")),
    net(mlp, "float32", "PRECISION", ("dW1, db1 = X.T @ dz1", "dz1 = dz1.astype(np.float32)\n    dW1, db1 = X.T @ dz1")),
    net(minimal_gated, "no 2", "CONSTANT", ("de = 2 * e / len(y)", "de = e / len(y)")),
    net(minimal_gated, "minus in f's parameters", "SIGN", ("df = (dh * (n - old) + dm * old)", "df = -(dh * (n - old) + dm * old)"), ('df @ params["Whf"]', '-df @ params["Whf"]')),
    net(minimal_gated, "bn of a sample", "NOT_SUMMED", ("dn.sum(axis=0)", "dn[0]")),
    net(minimal_gated, "clipped", "CLIPPED", ("    return loss, g\n", "    return loss, {k: np.clip(v, -0.3, 0.3) for k, v in g.items()}\n")),
    net(gru_before, "first step left out", "STEP_LEFT_OUT", ("in tape[::-1]:", "in tape[:0:-1]:")),
    net(gru_before, "Whr transposed", "TRANSPOSED", ('grads["Whr"] += hp.T @ dr', 'grads["Whr"] += dr.T @ hp')),
    net(gru_before, "bh mean", "CONSTANT", ("dhh.sum(0)", "dhh.mean(0)")),
    net(gru_before, "by of one sample", "NOT_SUMMED", ("d.sum(0)", "d[0]")),
    net(lstm_every_step, "dc forgotten", "NOT_HANDED_BACK TERM", ("dnext_c = dprev_c + dnext_h", "dnext_c = dnext_h")),
    net(lstm_every_step, "mean over time again", "CONSTANT", ("return loss, {", "dWx, dWh, db = dWx / len(x), dWh / len(x), db / len(x)\n    return loss, {")),
    net(lstm_every_step, "dWy assigned", "NOT_SUMMED", ("dWy += ", "dWy = ")),
]  # fmt: skip

PAIRS = pairs(SINGLES, 48, seed=2)
ROUNDED = [rounded(cell, seed) for cell in ("rnn", "gru", "lstm") for seed in range(10, 15)]

RANDOM = [
    with_noise(cell, parameter, size, seed)
    for cell in ("rnn", "gru", "lstm")
    for seed, (parameter, size) in enumerate(
        [("U", 1e-4), ("W", 0.2), ("V", 1e-6), ("bU", 0.5), ("bW", 1e-3), ("bV", 0.05), ("U", 2.0)], start=10
    )
] + [
    wrong("rnn", "random back", (RNN_DH, "dh = da @ np.random.default_rng(13).normal(size=W.shape)")),
    wrong("rnn", "arctan", (RNN_DA, "da = np.arctan(dh * act_prime(hs[t]))")),
    wrong("rnn", "bent act'", (RNN_DA, "da = dh * act_prime(hs[t]) ** 1.1")),
    wrong("rnn", "shifted x", ("da.T @ x[t - 1]", "da.T @ (x[t - 1] + 0.05)")),
    wrong("rnn", "0.9 h by unit", ("da.T @ hs[t - 1]", "da.T @ (hs[t - 1] * np.linspace(0.9, 1, len(W)))")),
    wrong("rnn", "growing", (RNN_DH, "dh = 1.07 * da @ W")),
    wrong("rnn", "odd error", (DY, "dy_hat = np.sinh(e_clipped / e.size)")),
    wrong("gru", "random back", (GRU_DH, "dh = dh * z + dw @ (W + 0.1 * np.random.default_rng(14).normal(size=W.shape))")),
    wrong("gru", "0.9 and 0.1", (GRU_DH, "dh = dh * (0.9 * z + 0.1) + dw @ W")),
    wrong("gru", "bent z'", (GRU_Z, "da_z = dh * (h_before - n) * (z * (1 - z)) ** 1.2")),
    wrong("gru", "1.1 r", (GRU_R, "da_r = da_n * w_n * (1.1 * r * (1 - r))")),
    wrong("gru", "shifted w_n", (GRU_R, "da_r = da_n * (w_n + 0.03) * (r * (1 - r))")),
    wrong("gru", "odd n'", (GRU_N, "da_n = dh * (1 - z) * np.cos(n)")),
    wrong("gru", "odd h", ("dw.T @ h_before", "dw.T @ (h_before + 0.1 * h_before**3)")),
    wrong("lstm", "random back", (LSTM_DH, "dh = da @ (0.8 * W + 0.1 * np.random.default_rng(15).normal(size=W.shape))")),
    wrong("lstm", "0.95 c", (LSTM_F, "da_f = dc * (0.95 * c_before + 0.01) * (f * (1 - f))")),
    wrong("lstm", "bent g'", (LSTM_G, "da_g = dc * i * (1 - g * g) ** 0.9")),
    wrong("lstm", "fading", ("dc = dc * f ", "dc = 0.83 * dc * f ")),
    wrong("lstm", "odd tanh", (LSTM_O, "da_o = dh * np.sin(c) * (o * (1 - o))")),
    wrong("lstm", "noisy x", ("da.T @ x[t]", "da.T @ (x[t] * (1 + 0.02 * np.sin(9 * x[t])))")),
    wrong("lstm", "mixed", (LSTM_DC, "dc = dc + dh * (0.7 * o + 0.2 * i) * (1 - tanh_c * tanh_c)")),
]  # fmt: skip
