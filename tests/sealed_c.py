"""SEALED set C: wrong gradients with labels, written by somebody who has not seen the diagnosis.

Whoever writes the diagnosis does not open this file. Of each: its cell, its name, the kinds that a careful
teacher would accept, the left sides of the lines in which it may be said to be, and what is changed. First
right gradients in the styles of students, then the mistakes.
"""
# ruff: noqa: E501  (a mistake a line)

import math

import numpy as np
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


def rnn_scalar(params, x, y, delta=np.inf):
    """Number by number, without a single product of matrices."""
    U, W, V = params["U"], params["W"], params["V"]
    T, B, I = x.shape  # noqa: E741
    H, O = len(W), len(V)  # noqa: E741
    g = {name: np.zeros_like(p) for name, p in params.items()}
    loss = 0.0
    for b in range(B):
        h = [[0.0] * H]
        for t in range(T):
            now = []
            for j in range(H):
                total = params["bU"][j] + params["bW"][j]
                for k in range(I):
                    total += U[j, k] * x[t, b, k]
                for k in range(H):
                    total += W[j, k] * h[t][k]
                now.append(math.tanh(total))
            h.append(now)
        back = [0.0] * H
        for o in range(O):
            miss = params["bV"][o] - y[b, o] + sum(V[o, j] * h[T][j] for j in range(H))
            cut = min(max(miss, -delta), delta)
            loss += cut * (miss - cut / 2) / (B * O)
            blame = cut / (B * O)
            g["bV"][o] += blame
            for j in range(H):
                g["V"][o, j] += blame * h[T][j]
                back[j] += blame * V[o, j]
        for t in range(T - 1, -1, -1):
            carry = [0.0] * H
            for j in range(H):
                slope = 1 - h[t + 1][j] ** 2
                inner = back[j] * slope
                g["bU"][j] += inner
                g["bW"][j] += inner
                for k in range(I):
                    g["U"][j, k] += inner * x[t, b, k]
                for k in range(H):
                    g["W"][j, k] += inner * h[t][k]
                    carry[k] += W[j, k] * inner
            back = carry
    return loss, g


def rnn_joined(params, x, y, delta=np.inf):
    """One matrix for state, input and bias side by side."""
    n = len(params["W"])
    M = np.hstack((params["W"], params["U"], (params["bU"] + params["bW"])[:, None]))
    R = np.hstack((params["V"], params["bV"][:, None]))
    ones = np.ones((x.shape[1], 1))
    states, joined = [np.zeros((x.shape[1], n))], []
    for xt in x:
        joined.append(np.hstack((states[-1], xt, ones)))
        states.append(np.tanh(joined[-1] @ M.T))
    top = np.hstack((states[-1], ones))
    miss = top @ R.T - y
    cut = np.minimum(np.maximum(miss, -delta), delta)
    gout = cut / miss.size
    gR = gout.T @ top
    gM = np.zeros_like(M)
    gs = (gout @ R)[:, :-1]
    while joined:
        s = states.pop()
        gz = gs - gs * s * s
        z = joined.pop()
        gM += gz.T @ z
        gs = (gz @ M)[:, :n]
    grads = {"W": gM[:, :n], "U": gM[:, n:-1], "V": gR[:, :-1], "bV": gR[:, -1]}
    return np.mean(cut * (miss - cut / 2)), grads | {"bU": gM[:, -1], "bW": gM[:, -1].copy()}


def gru_joined(params, x, y, delta=np.inf):
    """Columns of samples, a row of ones for the bias, three dimensions for the three gates."""
    n = params["V"].shape[1]
    A = np.hstack((params["U"], params["bU"][:, None])).reshape(3, n, -1)
    R = np.hstack((params["W"], params["bW"][:, None])).reshape(3, n, -1)
    T, B, _ = x.shape
    one = np.ones((1, B))
    s, kept = np.zeros((n, B)), []
    for t in range(T):
        xin, sin = np.vstack((x[t].T, one)), np.vstack((s, one))
        p, q = A @ xin, R @ sin
        reset, keep = 1 / (1 + np.exp(-p[0] - q[0])), 1 / (1 + np.exp(-p[1] - q[1]))
        new = np.tanh(p[2] + reset * q[2])
        kept.append((xin, sin, reset, keep, new, q[2]))
        s = new + keep * (s - new)
    miss = params["V"] @ s + params["bV"][:, None] - y.T
    cut = np.clip(miss, -delta, delta)
    gy = cut / cut.size
    gA, gR = np.zeros_like(A), np.zeros_like(R)
    gs = params["V"].T @ gy
    for xin, sin, reset, keep, new, rec in kept[::-1]:
        gkeep = gs * (sin[:-1] - new)
        gnew = gs * (1 - keep)
        e_new = gnew * (1 - new**2)
        e_reset = e_new * rec * reset * (1 - reset)
        e_keep = gkeep * keep * (1 - keep)
        gp = np.stack((e_reset, e_keep, e_new))
        gq = np.stack((e_reset, e_keep, e_new * reset))
        gA += gp @ xin.T
        gR += gq @ sin.T
        gs = gs * keep + sum(R[k, :, :-1].T @ gq[k] for k in range(3))
    gA, gR = gA.reshape(3 * n, -1), gR.reshape(3 * n, -1)
    grads = {"U": gA[:, :-1], "bU": gA[:, -1], "W": gR[:, :-1], "bW": gR[:, -1]}
    return np.mean(cut * (miss - cut / 2)), grads | {"V": gy @ s.T, "bV": gy.sum(axis=1)}


def gru_pullbacks(params, x, y, delta=np.inf):
    """Each step leaves behind a function that takes dL/dh after it to dL/dh before it."""
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    n = len(params["V"][0])

    def logistic(v):
        return 0.5 * (1 + np.tanh(0.5 * v))

    def step(before, inp):
        u = inp @ params["U"].T + params["bU"]
        w = before @ params["W"].T + params["bW"]
        rz = logistic(u[:, : 2 * n] + w[:, : 2 * n])
        r, z = rz[:, :n], rz[:, n:]
        cand = np.tanh(u[:, 2 * n :] + r * w[:, 2 * n :])
        after = z * before + (1 - z) * cand

        def pull(grad):
            to_cand = (grad - grad * z) * (1 - cand * cand)
            to_r = to_cand * w[:, 2 * n :]
            to_z = grad * before - grad * cand
            to_rz = np.hstack((to_r, to_z)) * rz * (1 - rz)
            to_u = np.hstack((to_rz, to_cand))
            to_w = np.hstack((to_rz, to_cand * r))
            for name, value in {"U": to_u.T @ inp, "W": to_w.T @ before}.items():
                grads[name] += value
            grads["bU"] += np.ones(len(inp)) @ to_u
            grads["bW"] += np.ones(len(inp)) @ to_w
            return grad * z + to_w @ params["W"]

        return after, pull

    h, pulls = np.zeros((x.shape[1], n)), []
    for inp in x:
        h, pull = step(h, inp)
        pulls.append(pull)
    miss = h @ params["V"].T + params["bV"] - y
    cut = np.clip(miss, -delta, delta)
    back = cut / y.size
    grads["V"] += back.T @ h
    grads["bV"] += back.sum(axis=0)
    back = back @ params["V"]
    while pulls:
        back = pulls.pop()(back)
    return np.mean(cut * (miss - cut / 2)), grads


def lstm_tape(params, x, y, delta=np.inf):
    """A little automatic differentiation: every operation puts its way back on a tape."""
    tape, grad = [], {}

    def add_to(key, value):
        grad[key] = grad.get(key, 0) + value

    def leaf(value):
        return (object(), value)

    def affine(v, weight, bias):
        out = leaf(v[1] @ params[weight].T + params[bias])

        def back(g):
            add_to(weight, g.T @ v[1])
            add_to(bias, g.sum(axis=0))
            add_to(v[0], g @ params[weight])

        tape.append((out[0], back))
        return out

    def plus(a, b):
        out = leaf(a[1] + b[1])

        def back(g):
            add_to(a[0], g)
            add_to(b[0], g)

        tape.append((out[0], back))
        return out

    def times(a, b):
        out = leaf(a[1] * b[1])

        def back(g):
            add_to(a[0], g * b[1])
            add_to(b[0], g * a[1])

        tape.append((out[0], back))
        return out

    def squash(a):
        out = leaf(np.tanh(a[1]))
        tape.append((out[0], lambda g: add_to(a[0], g * (1 - out[1] ** 2))))
        return out

    def gate(a):
        out = leaf(1 / (1 + np.exp(-a[1])))
        tape.append((out[0], lambda g: add_to(a[0], g * out[1] * (1 - out[1]))))
        return out

    def part(a, k, n):
        out = leaf(a[1][:, k * n : (k + 1) * n])

        def back(g):
            whole = np.zeros_like(a[1])
            whole[:, k * n : (k + 1) * n] = g
            add_to(a[0], whole)

        tape.append((out[0], back))
        return out

    n = params["V"].shape[1]
    h = c = leaf(np.zeros((x.shape[1], n)))
    for xt in x:
        a = plus(affine(leaf(xt), "U", "bU"), affine(h, "W", "bW"))
        i, f, g, o = gate(part(a, 0, n)), gate(part(a, 1, n)), squash(part(a, 2, n)), gate(part(a, 3, n))
        c = plus(times(f, c), times(i, g))
        h = times(o, squash(c))
    out = affine(h, "V", "bV")
    miss = out[1] - y
    cut = np.clip(miss, -delta, delta)
    grad[out[0]] = cut / miss.size
    for key, back in reversed(tape):
        if key in grad:
            back(grad[key])
    return np.mean(cut * (miss - cut / 2)), {name: grad[name] for name in params}


def lstm_fused(params, x, y, delta=np.inf):
    """A layer with buffers and slices, its cache a dict, in the manner of a small framework."""
    T, N, D = x.shape
    H = params["V"].shape[1]
    Wx, Wh, b = params["U"].T, params["W"].T, params["bU"] + params["bW"]
    sl = {"i": slice(0, H), "f": slice(H, 2 * H), "g": slice(2 * H, 3 * H), "o": slice(3 * H, 4 * H)}
    prev_h, prev_c, store = np.zeros((N, H)), np.zeros((N, H)), {}
    for t in range(T):
        A = x[t].dot(Wx) + prev_h.dot(Wh) + b
        gates = 1 / (1 + np.exp(-A))
        gates[:, sl["g"]] = np.tanh(A[:, sl["g"]])
        next_c = gates[:, sl["f"]] * prev_c + gates[:, sl["i"]] * gates[:, sl["g"]]
        next_h = gates[:, sl["o"]] * np.tanh(next_c)
        store[t] = {"gates": gates, "prev_h": prev_h, "prev_c": prev_c, "c": next_c}
        prev_h, prev_c = next_h, next_c
    miss = prev_h.dot(params["V"].T) + params["bV"] - y
    cut = np.clip(miss, -delta, delta)
    dscore = cut / (N * y.shape[1])
    dWx, dWh, db = np.zeros((D, 4 * H)), np.zeros((H, 4 * H)), np.zeros(4 * H)
    dnext_h, dnext_c = dscore.dot(params["V"]), np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        m = store[t]
        i, f, g, o = (m["gates"][:, sl[k]] for k in "ifgo")
        tc = np.tanh(m["c"])
        dA = np.zeros((N, 4 * H))
        dnext_c = dnext_c + o * (1 - tc * tc) * dnext_h
        dA[:, sl["i"]] = i * (1 - i) * g * dnext_c
        dA[:, sl["f"]] = f * (1 - f) * m["prev_c"] * dnext_c
        dA[:, sl["g"]] = (1 - g * g) * i * dnext_c
        dA[:, sl["o"]] = o * (1 - o) * tc * dnext_h
        dWx += x[t].T.dot(dA)
        dWh += m["prev_h"].T.dot(dA)
        db += dA.sum(axis=0)
        dnext_h = dA.dot(Wh.T)
        dnext_c = f * dnext_c
    grads = {"U": dWx.T, "W": dWh.T, "bU": db, "bW": db + 0, "V": dscore.T.dot(prev_h)}
    return np.mean(cut * (miss - cut / 2)), grads | {"bV": dscore.sum(axis=0)}


RNN_DH = "dh = da @ W"
RNN_DA = "da = dh * act_prime(hs[t])"
RNN_END = 'return loss, {"U": dU, "W": dW, "V": dV} | biases'
RNN_LOOP = "for t in range(len(x), 0, -1):"
RNN_U = "dU += da.T @ x[t - 1]"
RNN_W = "dW += da.T @ hs[t - 1]"
RNN_B = "db += da.sum(axis=0)"
RNN_V = "dV = dy_hat.T @ hs[-1]"
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
LSTM_DA = "da = np.concatenate((da_i, da_f, da_g, da_o), axis=1)"
LSTM_DH = "dh = da @ W"
LSTM_BACK = "dc = dc * f"
DOWN = "for t in range(len(x) - 1, -1, -1):"
END = "    return loss, grads\n"
DY = "dy_hat = e_clipped / e.size"
HALF = "params = {name: p.astype(np.float32) for name, p in params.items()}\n    W, V, x, y = params['W'], params['V'], x.astype(np.float32), y.astype(np.float32)\n    "

RNN = [
    single(
        "rnn",
        "dh handed back from even steps only",
        "NOT_HANDED_BACK",
        "dh",
        (RNN_DH, "dh = da @ W if t % 2 == 0 else 0 * dh"),
    ),
    single(
        "rnn", "dh handed back unchanged", "MISTAKEN FACTOR NOT_HANDED_BACK", "dh", (RNN_DH, "dh = 1 * dh")
    ),
    single("rnn", "dh for da on the way back", "MISTAKEN DERIVATIVE FACTOR", "dh", (RNN_DH, "dh = dh @ W")),
    single("rnn", "W left out on the way back", "FACTOR MISTAKEN", "dh", (RNN_DH, "dh = da")),
    single("rnn", "W for its transpose", "TRANSPOSED", "dh", (RNN_DH, "dh = np.dot(W, da.T).T")),
    single("rnn", "dh added up", "TERM", "dh", (RNN_DH, "dh = dh + da @ W")),
    single("rnn", "sign of what is handed back", "SIGN", "dh", (RNN_DH, "dh = -(da @ W)")),
    single(
        "rnn",
        "the last step passed over",
        "STEP_LEFT_OUT",
        "",
        (RNN_LOOP, "for t in range(len(x) - 1, 0, -1):"),
    ),
    single(
        "rnn", "the first step passed over", "STEP_LEFT_OUT", "", (RNN_LOOP, "for t in range(len(x), 1, -1):")
    ),
    single(
        "rnn",
        "two steps back",
        "TRUNCATED",
        "",
        (RNN_LOOP, "for t in range(len(x), max(len(x) - 2, 0), -1):"),
    ),
    single(
        "rnn",
        "mean over time",
        "CONSTANT",
        "dU dW",
        (RNN_END, 'return loss, {"U": dU / len(x), "W": dW / len(x), "V": dV} | biases'),
    ),
    single(
        "rnn",
        "divided by the batch again",
        "CONSTANT",
        "dy_hat",
        (DY, "dy_hat = e_clipped / e.size / len(y)"),
    ),
    single("rnn", "bias averaged over the batch", "CONSTANT", "db dbU dbW", (RNN_B, "db += da.mean(axis=0)")),
    single("rnn", "y minus y_hat", "SIGN", "dy_hat", (DY, "dy_hat = -e_clipped / e.size")),
    single(
        "rnn", "e squared without its half", "CONSTANT", "dy_hat", (DY, "dy_hat = 2 * e_clipped / e.size")
    ),
    single("rnn", "slope of a sigmoid", "DERIVATIVE", "da", (RNN_DA, "da = dh * (hs[t] * (1 - hs[t]))")),
    single(
        "rnn",
        "slope at the state before",
        "DERIVATIVE OFF_BY_ONE",
        "da",
        (RNN_DA, "da = dh * act_prime(hs[t - 1])"),
    ),
    single("rnn", "one minus h, not squared", "DERIVATIVE FACTOR", "da", (RNN_DA, "da = dh * (1 - hs[t])")),
    single("rnn", "one plus h squared", "DERIVATIVE SIGN TERM", "da", (RNN_DA, "da = dh * (1 + hs[t] ** 2)")),
    single("rnn", "input of one step earlier", "OFF_BY_ONE", "dU", (RNN_U, "dU += da.T @ x[t - 2]")),
    single(
        "rnn", "inputs from the other end", "OFF_BY_ONE MISTAKEN", "dU", (RNN_U, "dU += da.T @ x[len(x) - t]")
    ),
    single(
        "rnn",
        "W of the first sample",
        "NOT_SUMMED ACROSS_SAMPLES",
        "dW",
        (RNN_W, "dW += da[:1].T @ hs[t - 1][:1]"),
    ),
    single("rnn", "dU assigned, not added", "NOT_SUMMED", "dU", (RNN_U, "dU = da.T @ x[t - 1]")),
    single("rnn", "dh clipped on the way", "CLIPPED", "dh", (RNN_DH, "dh = np.clip(da @ W, -0.1, 0.1)")),
    single(
        "rnn",
        "dh rounded to float32",
        "PRECISION",
        "dh",
        ("dh = dy_hat @ V", "dh = (dy_hat @ V).astype(np.float32)"),
    ),
    single(
        "rnn",
        "weight decay on W",
        "TERM",
        "dW",
        (RNN_END, 'return loss, {"U": dU, "W": dW + 0.01 * W, "V": dV} | biases'),
    ),
    single(
        "rnn",
        "V with the error not clipped",
        "MISTAKEN CLIPPED DERIVATIVE",
        "dV",
        (RNN_V, "dV = e.T @ hs[-1] / e.size"),
    ),
    single(
        "rnn", "bias from dh", "MISTAKEN DERIVATIVE FACTOR", "db dbU dbW", (RNN_B, "db += dh.sum(axis=0)")
    ),
]

GRU = [
    single(
        "gru",
        "candidate's way back dropped",
        "NOT_HANDED_BACK TERM",
        "dh",
        (GRU_DH, "dh = dh * z + dw[:, : 2 * len(W) // 3] @ W[: 2 * len(W) // 3]"),
    ),
    single(
        "gru",
        "reset gate's way back dropped",
        "NOT_HANDED_BACK TERM",
        "dh",
        (GRU_DH, "dh = dh * z + dw[:, len(W) // 3 :] @ W[len(W) // 3 :]"),
    ),
    single("gru", "du for dw on the way back", "MISTAKEN FACTOR", "dh", (GRU_DH, "dh = dh * z + du @ W")),
    single(
        "gru", "dh clipped on the way", "CLIPPED", "dh", (GRU_DH, "dh = np.clip(dh * z + dw @ W, -0.1, 0.1)")
    ),
    single("gru", "straight way not gated", "FACTOR", "dh", (GRU_DH, "dh = dh + dw @ W")),
    single(
        "gru",
        "every block of W transposed",
        "TRANSPOSED",
        "dh",
        (
            GRU_DH,
            "dh = dh * z + sum(part @ block.T for part, block in zip(np.split(dw, 3, axis=1), np.split(W, 3)))",
        ),
    ),
    single("gru", "sign of the way through w", "SIGN TERM", "dh", (GRU_DH, "dh = dh * z - dw @ W")),
    single(
        "gru", "slope of the candidate left out", "DERIVATIVE FACTOR", "da_n", (GRU_N, "da_n = dh * (1 - z)")
    ),
    single(
        "gru", "candidate as a sigmoid", "DERIVATIVE", "da_n", (GRU_N, "da_n = dh * (1 - z) * (n * (1 - n))")
    ),
    single("gru", "one minus z left out", "FACTOR", "da_n", (GRU_N, "da_n = dh * (1 - n * n)")),
    single(
        "gru", "slope of the reset gate left out", "DERIVATIVE FACTOR", "da_r", (GRU_R, "da_r = da_n * w_n")
    ),
    single("gru", "old state for w_n", "MISTAKEN", "da_r", (GRU_R, "da_r = da_n * h_before * (r * (1 - r))")),
    single(
        "gru",
        "reset gate before the candidate's slope",
        "DERIVATIVE FACTOR MISTAKEN",
        "da_r",
        (GRU_R, "da_r = dh * (1 - z) * w_n * (r * (1 - r))"),
    ),
    single(
        "gru",
        "update gate without the candidate",
        "TERM",
        "da_z",
        (GRU_Z, "da_z = dh * h_before * (z * (1 - z))"),
    ),
    single(
        "gru",
        "update gate with a plus",
        "TERM SIGN",
        "da_z",
        (GRU_Z, "da_z = dh * (h_before + n) * (z * (1 - z))"),
    ),
    single(
        "gru",
        "update gate as a tanh",
        "DERIVATIVE",
        "da_z",
        (GRU_Z, "da_z = dh * (h_before - n) * (1 - z * z)"),
    ),
    single(
        "gru",
        "new state for the old in the update gate",
        "OFF_BY_ONE MISTAKEN",
        "da_z",
        (GRU_Z, "da_z = dh * (cache[t].h - n) * (z * (1 - z))"),
    ),
    single(
        "gru",
        "formulas of Chung et al., z the other way round",
        "MISTAKEN SIGN",
        "da_n da_z dh",
        (GRU_N, "da_n = dh * z * (1 - n * n)"),
        (GRU_Z, "da_z = dh * (n - h_before) * (z * (1 - z))"),
        (GRU_DH, "dh = dh * (1 - z) + dw @ W"),
    ),
    single(
        "gru",
        "rows z r n in all that is returned",
        "ORDER",
        "",
        (
            END,
            "    swapped = {name: np.concatenate([np.split(grads[name], 3)[k] for k in (1, 0, 2)]) for name in grads if name[-1] in 'UW'}\n    return loss, grads | swapped\n",
        ),
    ),
    single(
        "gru",
        "reset gate in du as well",
        "FACTOR MISTAKEN",
        "du",
        (GRU_DU, "du = np.concatenate((da_r, da_z, da_n * r), axis=1)"),
    ),
    single(
        "gru",
        "bW like bU",
        "MISTAKEN FACTOR",
        "dbW",
        ('grads["bW"] += dw.sum(axis=0)', 'grads["bW"] += du.sum(axis=0)'),
    ),
    single(
        "gru",
        "two steps back",
        "TRUNCATED",
        "",
        (DOWN, "for t in range(len(x) - 1, max(len(x) - 3, -1), -1):"),
    ),
    single(
        "gru",
        "no state before step 2",
        "OFF_BY_ONE MISTAKEN",
        "h_before",
        ("h_before = cache[t - 1].h if t else h_first", "h_before = cache[t - 1].h if t > 1 else h_first"),
    ),
    single(
        "gru", "the first step passed over", "STEP_LEFT_OUT", "", (DOWN, "for t in range(len(x) - 1, 0, -1):")
    ),
    single(
        "gru",
        "everything averaged over time",
        "CONSTANT",
        "",
        (END, "    return loss, {name: grad / len(x) for name, grad in grads.items()}\n"),
    ),
    single("gru", "outputs summed, not averaged", "CONSTANT", "dy_hat", (DY, "dy_hat = e_clipped / len(e)")),
    single(
        "gru",
        "bU of one sample",
        "NOT_SUMMED ACROSS_SAMPLES",
        "dbU",
        ('grads["bU"] += du.sum(axis=0)', 'grads["bU"] += du[0]'),
    ),
    single(
        "gru", "all in float32", "PRECISION", "", ("y_hat, cache = forward", HALF + "y_hat, cache = forward")
    ),
]

LSTM = [
    single(
        "lstm",
        "dc from this step's h only",
        "NOT_HANDED_BACK TERM",
        "dc",
        (LSTM_DC, "dc = dh * o * (1 - tanh_c * tanh_c)"),
    ),
    single(
        "lstm",
        "dh handed back by the output gate only",
        "NOT_HANDED_BACK TERM",
        "dh",
        (LSTM_DH, "dh = da_o @ W[3 * len(W) // 4 :]"),
    ),
    single(
        "lstm",
        "forget gate's way back dropped",
        "NOT_HANDED_BACK TERM",
        "dh",
        (LSTM_DH, "dh = np.concatenate((da_i, 0 * da_f, da_g, da_o), axis=1) @ W"),
    ),
    single("lstm", "kept by the input gate", "MISTAKEN FACTOR", "dc", (LSTM_BACK, "dc = dc * i")),
    single(
        "lstm",
        "slope of the forget gate handed back",
        "DERIVATIVE FACTOR",
        "dc",
        (LSTM_BACK, "dc = dc * f * (1 - f)"),
    ),
    single(
        "lstm", "slope of the shown state left out", "DERIVATIVE FACTOR", "dc", (LSTM_DC, "dc = dc + dh * o")
    ),
    single(
        "lstm",
        "slope of the shown state not squared",
        "DERIVATIVE FACTOR",
        "dc",
        (LSTM_DC, "dc = dc + dh * o * (1 - tanh_c)"),
    ),
    single(
        "lstm",
        "this step's h with a minus",
        "SIGN TERM",
        "dc",
        (LSTM_DC, "dc = dc - dh * o * (1 - tanh_c * tanh_c)"),
    ),
    single("lstm", "peepholes that are not there", "TERM", "dc", (LSTM_BACK, "dc = dc * f + da_i + da_f")),
    single(
        "lstm",
        "input gate for the candidate",
        "MISTAKEN FACTOR",
        "da_i",
        (LSTM_I, "da_i = dc * i * (i * (1 - i))"),
    ),
    single(
        "lstm", "slope of the input gate left out", "DERIVATIVE FACTOR", "da_i", (LSTM_I, "da_i = dc * g")
    ),
    single(
        "lstm",
        "sigmoid of the forget gate",
        "DERIVATIVE",
        "da_f",
        (LSTM_F, "da_f = dc * c_before * (sigmoid(f) * (1 - sigmoid(f)))"),
    ),
    single(
        "lstm",
        "h for c in the forget gate",
        "MISTAKEN",
        "da_f",
        (LSTM_F, "da_f = dc * h_before * (f * (1 - f))"),
    ),
    single("lstm", "coupled gates", "TERM", "da_f", (LSTM_F, "da_f = dc * (c_before - g) * (f * (1 - f))")),
    single("lstm", "candidate as a sigmoid", "DERIVATIVE", "da_g", (LSTM_G, "da_g = dc * i * (g * (1 - g))")),
    single(
        "lstm",
        "slope of the candidate at c",
        "DERIVATIVE MISTAKEN",
        "da_g",
        (LSTM_G, "da_g = dc * i * (1 - tanh_c * tanh_c)"),
    ),
    single(
        "lstm",
        "dc for dh in the output gate",
        "MISTAKEN",
        "da_o",
        (LSTM_O, "da_o = dc * tanh_c * (o * (1 - o))"),
    ),
    single(
        "lstm",
        "c for tanh(c) in the output gate",
        "MISTAKEN DERIVATIVE FACTOR",
        "da_o",
        (LSTM_O, "da_o = dh * c * (o * (1 - o))"),
    ),
    single(
        "lstm",
        "rows f i g o",
        "ORDER",
        "da",
        (LSTM_DA, "da = np.concatenate((da_f, da_i, da_g, da_o), axis=1)"),
    ),
    single(
        "lstm",
        "c for h in dW",
        "MISTAKEN",
        "dW",
        ('grads["W"] += da.T @ h_before', 'grads["W"] += da.T @ c_before'),
    ),
    single(
        "lstm",
        "samples shifted against each other in dW",
        "ACROSS_SAMPLES MISTAKEN",
        "dW",
        ('grads["W"] += da.T @ h_before', 'grads["W"] += np.roll(da, 1, axis=0).T @ h_before'),
    ),
    single(
        "lstm",
        "bW after the loop, of one step",
        "NOT_SUMMED",
        "dbW",
        ('grads["bW"] += grads["bU"]', 'grads["bW"] += da.sum(axis=0)'),
    ),
    single(
        "lstm",
        "bW twice",
        "CONSTANT",
        "dbW",
        ('grads["bW"] += grads["bU"]', 'grads["bW"] += 2 * grads["bU"]'),
    ),
    single(
        "lstm",
        "the last step passed over",
        "STEP_LEFT_OUT",
        "",
        (DOWN, "for t in range(len(x) - 2, -1, -1):"),
    ),
    single(
        "lstm",
        "one step back",
        "TRUNCATED NOT_HANDED_BACK",
        "",
        (DOWN, "for t in range(len(x) - 1, len(x) - 2, -1):"),
    ),
    single(
        "lstm",
        "what enters divided by the steps",
        "CONSTANT",
        "dh",
        ("dh = dy_hat @ V", "dh = dy_hat @ V / len(x)"),
    ),
    single(
        "lstm",
        "da clipped",
        "CLIPPED",
        "da",
        (LSTM_DA, "da = np.clip(np.concatenate((da_i, da_f, da_g, da_o), axis=1), -0.05, 0.05)"),
    ),
    single(
        "lstm",
        "tanh in float32",
        "PRECISION",
        "tanh_c",
        ("tanh_c = np.tanh(c)", "tanh_c = np.tanh(c.astype(np.float32))"),
    ),
]

SINGLES = RNN + GRU + LSTM

STUDENTS = [
    student(
        "rnn",
        rnn_scalar,
        "carry through the wrong index",
        "TRANSPOSED",
        "dh",
        ("carry[k] += W[j, k] * inner", "carry[k] += W[k, j] * inner"),
    ),
    student(
        "rnn",
        rnn_scalar,
        "only the last unit's share is carried",
        "NOT_SUMMED NOT_HANDED_BACK",
        "dh",
        ("carry[k] += W[j, k] * inner", "carry[k] = W[j, k] * inner"),
    ),
    student(
        "rnn",
        rnn_joined,
        "slope of tanh of tanh",
        "DERIVATIVE",
        "da",
        ("gz = gs - gs * s * s", "gz = gs - gs * np.tanh(s) ** 2"),
    ),
    student(
        "rnn",
        rnn_joined,
        "all of the joined matrix assigned",
        "NOT_SUMMED",
        "dU dW db dbU dbW",
        ("gM += gz.T @ z", "gM = gz.T @ z"),
    ),
    student(
        "rnn",
        rnn_columns,
        "outputs summed, not averaged",
        "CONSTANT",
        "dy_hat",
        ("dy = cut / (n_samples * n_out)", "dy = cut / n_samples"),
    ),
    student(
        "rnn",
        rnn_stacked,
        "sums over states after, not before",
        "OFF_BY_ONE",
        "dW",
        (
            'grads["W"] = np.einsum("tbh,tbk->hk", g_a, h[:-1])',
            'grads["W"] = np.einsum("tbh,tbk->hk", g_a, h[1:])',
        ),
    ),
    student(
        "rnn",
        rnn_recursive,
        "bW forgotten",
        "ZERO",
        "db dbW",
        ('        grads["bW"] += np.sum(g_pre, axis=0)\n', ""),
    ),
    student(
        "rnn",
        rnn_course,
        "da of the future forgotten",
        "NOT_HANDED_BACK TERM",
        "dh",
        ("da_next = da[:, :, t] + da_prevt", "da_next = da[:, :, t]"),
    ),
    student(
        "gru",
        gru_joined,
        "update gate the other way round",
        "SIGN",
        "da_z",
        ("gkeep = gs * (sin[:-1] - new)", "gkeep = gs * (new - sin[:-1])"),
    ),
    student(
        "gru",
        gru_joined,
        "way back of two gates of three",
        "NOT_HANDED_BACK TERM",
        "dh",
        ("for k in range(3))", "for k in (0, 2))"),
    ),
    student(
        "gru",
        gru_pullbacks,
        "slope of the gates left out",
        "DERIVATIVE FACTOR",
        "da_r da_z",
        ("to_rz = np.hstack((to_r, to_z)) * rz * (1 - rz)", "to_rz = np.hstack((to_r, to_z))"),
    ),
    student(
        "gru",
        gru_pullbacks,
        "z and r exchanged in the columns",
        "ORDER",
        "du dw da_r da_z",
        (
            "to_rz = np.hstack((to_r, to_z)) * rz * (1 - rz)",
            "to_rz = np.hstack((to_z * z * (1 - z), to_r * r * (1 - r)))",
        ),
    ),
    student(
        "gru",
        gru_gates,
        "state before is overwritten by the last gate",
        "NOT_HANDED_BACK TERM",
        "dh",
        ("d_old = d_old + d_q @ Wn", "d_old = d_q @ Wn"),
    ),
    student(
        "gru",
        gru_samples,
        "bias of the last sample",
        "NOT_SUMMED ACROSS_SAMPLES",
        "dbV",
        ('grads["bV"] += g_y', 'grads["bV"] = g_y'),
    ),
    student(
        "gru",
        gru_stacked,
        "U with the input of the next step",
        "OFF_BY_ONE",
        "dU",
        ('np.einsum("tbg,tbi->gi", DX, x)', 'np.einsum("tbg,tbi->gi", DX[:-1], x[1:])'),
    ),
    student(
        "gru",
        gru_cells,
        "reset gate missing from the recurrent part",
        "FACTOR MISTAKEN",
        "dw",
        ("dhn = dn_in * r", "dhn = dn_in"),
    ),
    student(
        "lstm",
        lstm_tape,
        "sigmoid with the slope of tanh",
        "DERIVATIVE",
        "da_i da_f da_o",
        ("g * out[1] * (1 - out[1])", "g * (1 - out[1] ** 2)"),
    ),
    student(
        "lstm",
        lstm_tape,
        "grad overwritten where it should be added",
        "NOT_SUMMED NOT_HANDED_BACK TERM",
        "",
        ("grad[key] = grad.get(key, 0) + value", "grad[key] = value"),
    ),
    student(
        "lstm",
        lstm_fused,
        "the cell's own gradient after the gates",
        "TERM",
        "dc",
        ("        dnext_c = dnext_c + o * (1 - tc * tc) * dnext_h\n", ""),
        ("dnext_c = f * dnext_c", "dnext_c = f * (dnext_c + o * (1 - tc * tc) * DH)"),
        ("dnext_h = dA.dot(Wh.T)", "DH, dnext_h = dnext_h, dA.dot(Wh.T)"),
    ),
    student(
        "lstm",
        lstm_fused,
        "clipped as for exploding gradients",
        "CLIPPED",
        "dh",
        ("dnext_h = dA.dot(Wh.T)", "dnext_h = np.clip(dA.dot(Wh.T), -0.1, 0.1)"),
    ),
    student(
        "lstm",
        lstm_gates,
        "new cell state in the forget gate's gradient",
        "OFF_BY_ONE MISTAKEN",
        "da_f",
        ("df = dc * cp", "df = dc * (f * cp + i * g)"),
    ),
    student(
        "lstm",
        lstm_samples,
        "forget gate missing from the straight way",
        "FACTOR",
        "dc",
        ("gc = gc * f", "gc = gc * 1"),
    ),
    student(
        "lstm",
        lstm_stacked,
        "bW averaged over steps and samples",
        "CONSTANT",
        "dbW",
        ('grads["bW"] = local.sum(axis=(0, 1))', 'grads["bW"] = local.mean(axis=(0, 1))'),
    ),
    student(
        "lstm",
        lstm_course,
        "one gate's matrix for another's",
        "MISTAKEN",
        "dh",
        ("np.dot(Wf[:, :n_a].T, dft)", "np.dot(Wi[:, :n_a].T, dft)"),
    ),
]

PAIRS: tuple[Wrong, ...] = ()
ROUNDED: tuple[Wrong, ...] = ()
RANDOM: tuple[Wrong, ...] = ()
OTHERS: tuple[Wrong, ...] = ()
