"""SEALED: right gradients in the styles of other people, whose sources the sealed sets edit.

Whoever writes the diagnosis does not open this file. First the suite's cells, as functions of (params, x, y,
delta) with the parameters of the reference and biases; then other nets, as functions of (params, *data).
"""

import numpy as np

# rnn


def rnn_columns(params, x, y, delta=np.inf):
    Wxh, Whh, Why = params["U"], params["W"], params["V"]
    bh, by = (params["bU"] + params["bW"])[:, None], params["bV"][:, None]
    n_steps, n_samples, n_out = x.shape[0], x.shape[1], y.shape[1]
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    loss = 0.0
    for n in range(n_samples):
        hs = {-1: np.zeros_like(bh)}
        for t in range(n_steps):
            hs[t] = np.tanh(Wxh @ x[t, n][:, None] + Whh @ hs[t - 1] + bh)
        err = Why @ hs[n_steps - 1] + by - y[n][:, None]
        cut = np.clip(err, -delta, delta)
        loss += np.sum(cut * (err - cut / 2)) / (n_samples * n_out)
        dy = cut / (n_samples * n_out)
        dWhy += dy @ hs[n_steps - 1].T
        dby += dy
        dhnext = Why.T @ dy
        for t in reversed(range(n_steps)):
            dhraw = (1 - hs[t] * hs[t]) * dhnext
            dbh += dhraw
            dWxh += dhraw @ x[t, n][None, :]
            dWhh += dhraw @ hs[t - 1].T
            dhnext = Whh.T @ dhraw
    grads = {"U": dWxh, "W": dWhh, "V": dWhy}
    grads |= {"bU": dbh[:, 0], "bW": dbh[:, 0].copy(), "bV": dby[:, 0]}
    return loss, grads


def rnn_stacked(params, x, y, delta=np.inf):
    U, W, V = params["U"], params["W"], params["V"]
    n_steps, n_samples, _ = x.shape
    h = np.zeros((n_steps + 1, n_samples, len(W)))
    for t in range(n_steps):
        h[t + 1] = np.tanh(x[t] @ U.T + h[t] @ W.T + params["bU"] + params["bW"])
    err = h[n_steps] @ V.T + params["bV"] - y
    cut = np.clip(err, -delta, delta)
    g_out = cut / err.size
    g_a = np.zeros((n_steps, n_samples, len(W)))
    back = g_out @ V
    for t in range(n_steps - 1, -1, -1):
        g_a[t] = back * (1 - h[t + 1] ** 2)
        back = g_a[t] @ W
    grads = {"V": np.einsum("bo,bh->oh", g_out, h[-1]), "bV": g_out.sum(axis=0)}
    grads["U"] = np.einsum("tbh,tbi->hi", g_a, x)
    grads["W"] = np.einsum("tbh,tbk->hk", g_a, h[:-1])
    grads["bU"] = g_a.sum(axis=(0, 1))
    grads["bW"] = g_a.sum(axis=(0, 1))
    return np.mean(cut * (err - cut / 2)), grads


def rnn_recursive(params, x, y, delta=np.inf):
    grads = {key: np.zeros_like(value) for key, value in params.items()}
    bias = params["bU"] + params["bW"]

    def run(t, prev):
        """From the state before step t, return the loss and what it says about that state."""
        if t == len(x):
            diff = prev @ params["V"].T + params["bV"] - y
            inner = np.clip(diff, -delta, delta)
            top = inner / diff.size
            grads["V"] += top.T @ prev
            grads["bV"] += np.sum(top, axis=0)
            return np.mean(inner * (diff - inner / 2)), top @ params["V"]
        state = np.tanh(x[t] @ params["U"].T + prev @ params["W"].T + bias)
        loss, g_state = run(t + 1, state)
        g_pre = (1 - state**2) * g_state
        grads["U"] += g_pre.T @ x[t]
        grads["W"] += g_pre.T @ prev
        grads["bU"] += np.sum(g_pre, axis=0)
        grads["bW"] += np.sum(g_pre, axis=0)
        return loss, g_pre @ params["W"]

    loss, _ = run(0, np.zeros((x.shape[1], len(params["W"]))))
    return loss, grads


def rnn_course(params, x, y, delta=np.inf):
    Wax, Waa, Wya = params["U"], params["W"], params["V"]
    ba, by = params["bU"] + params["bW"], params["bV"]
    xs = np.transpose(x, (2, 1, 0))  # n_x, m, T_x
    n_a, m, T_x = len(Waa), xs.shape[1], xs.shape[2]
    a = np.zeros((n_a, m, T_x))
    caches = []
    a_next = np.zeros((n_a, m))
    for t in range(T_x):
        a_prev = a_next
        a_next = np.tanh(np.dot(Wax, xs[:, :, t]) + np.dot(Waa, a_prev) + ba[:, None])
        a[:, :, t] = a_next
        caches.append((a_next, a_prev, xs[:, :, t]))
    err = np.dot(Wya, a_next) + by[:, None] - y.T
    cut = np.clip(err, -delta, delta)
    dy = cut / (m * len(by))
    dWya, dby = np.dot(dy, a_next.T), np.sum(dy, axis=1)
    dWax, dWaa, dba = np.zeros_like(Wax), np.zeros_like(Waa), np.zeros((n_a, 1))
    da = np.zeros((n_a, m, T_x))
    da[:, :, T_x - 1] = np.dot(Wya.T, dy)
    da_prevt = np.zeros((n_a, m))
    for t in reversed(range(T_x)):
        a_next, a_prev, xt = caches[t]
        da_next = da[:, :, t] + da_prevt
        dtanh = (1 - np.square(a_next)) * da_next
        dWax += np.dot(dtanh, xt.T)
        dWaa += np.dot(dtanh, a_prev.T)
        dba += np.sum(dtanh, axis=1, keepdims=True)
        da_prevt = np.dot(Waa.T, dtanh)
    grads = {"U": dWax, "W": dWaa, "V": dWya, "bU": dba.ravel(), "bW": dba.ravel().copy(), "bV": dby}
    return np.mean(cut * (err - cut / 2)), grads


# gru


def sig(v):
    return 1 / (1 + np.exp(-v))


def gru_gates(params, x, y, delta=np.inf):
    H = params["V"].shape[1]
    Ur, Uz, Un = params["U"][:H], params["U"][H : 2 * H], params["U"][2 * H :]
    Wr, Wz, Wn = params["W"][:H], params["W"][H : 2 * H], params["W"][2 * H :]
    br, bz = (params["bU"] + params["bW"])[:H], (params["bU"] + params["bW"])[H : 2 * H]
    bun, bwn = params["bU"][2 * H :], params["bW"][2 * H :]
    h = np.zeros((x.shape[1], H))
    memory = []
    for xt in x:
        old = h
        r = sig(xt @ Ur.T + old @ Wr.T + br)
        z = sig(xt @ Uz.T + old @ Wz.T + bz)
        q = old @ Wn.T + bwn
        cand = np.tanh(xt @ Un.T + bun + r * q)
        h = cand + z * (old - cand)
        memory.append((xt, old, r, z, q, cand))
    err = h @ params["V"].T + params["bV"] - y
    cut = np.clip(err, -delta, delta)
    d_out = cut / err.size
    dUr, dUz, dUn = np.zeros_like(Ur), np.zeros_like(Uz), np.zeros_like(Un)
    dWr, dWz, dWn = np.zeros_like(Wr), np.zeros_like(Wz), np.zeros_like(Wn)
    dbr, dbz, dbun, dbwn = np.zeros(H), np.zeros(H), np.zeros(H), np.zeros(H)
    d_h = d_out @ params["V"]
    for xt, old, r, z, q, cand in memory[::-1]:
        d_cand = d_h * (1 - z)
        d_z = d_h * (old - cand)
        d_old = d_h * z
        d_pre_n = d_cand * (1 - cand**2)
        d_r = d_pre_n * q
        d_q = d_pre_n * r
        d_pre_r = d_r * r * (1 - r)
        d_pre_z = d_z * z * (1 - z)
        dUr += d_pre_r.T @ xt
        dUz += d_pre_z.T @ xt
        dUn += d_pre_n.T @ xt
        dWr += d_pre_r.T @ old
        dWz += d_pre_z.T @ old
        dWn += d_q.T @ old
        dbr += d_pre_r.sum(0)
        dbz += d_pre_z.sum(0)
        dbun += d_pre_n.sum(0)
        dbwn += d_q.sum(0)
        d_old = d_old + d_pre_r @ Wr
        d_old = d_old + d_pre_z @ Wz
        d_old = d_old + d_q @ Wn
        d_h = d_old
    grads = {"U": np.vstack([dUr, dUz, dUn]), "W": np.vstack([dWr, dWz, dWn])}
    grads |= {"bU": np.hstack([dbr, dbz, dbun]), "bW": np.hstack([dbr, dbz, dbwn])}
    grads |= {"V": d_out.T @ h, "bV": d_out.sum(0)}
    return np.mean(cut * (err - cut / 2)), grads


def gru_samples(params, x, y, delta=np.inf):
    grads = {key: np.zeros_like(value) for key, value in params.items()}
    n_hid, total = params["V"].shape[1], 0.0
    R, Z, N = slice(0, n_hid), slice(n_hid, 2 * n_hid), slice(2 * n_hid, 3 * n_hid)
    for k in range(x.shape[1]):
        hidden, tape = [np.zeros(n_hid)], []
        for t in range(x.shape[0]):
            left = params["U"].dot(x[t, k]) + params["bU"]
            right = params["W"].dot(hidden[-1]) + params["bW"]
            reset, update = sig(left[R] + right[R]), sig(left[Z] + right[Z])
            fresh = np.tanh(left[N] + reset * right[N])
            hidden.append(update * hidden[-1] + (1 - update) * fresh)
            tape.append((reset, update, fresh, right[N]))
        miss = params["V"].dot(hidden[-1]) + params["bV"] - y[k]
        held = np.clip(miss, -delta, delta)
        total += np.sum(held * (miss - held / 2)) / y.size
        g_y = held / y.size
        grads["V"] += np.outer(g_y, hidden[-1])
        grads["bV"] += g_y
        g_h = params["V"].T.dot(g_y)
        for t in range(x.shape[0] - 1, -1, -1):
            reset, update, fresh, carried = tape[t]
            g_left, g_right = np.zeros(3 * n_hid), np.zeros(3 * n_hid)
            g_left[N] = g_h * (1 - update) * (1 - fresh * fresh)
            g_left[R] = g_left[N] * carried * reset * (1 - reset)
            g_left[Z] = g_h * (hidden[t] - fresh) * update * (1 - update)
            g_right[:] = g_left
            g_right[N] *= reset
            grads["U"] += np.outer(g_left, x[t, k])
            grads["W"] += np.outer(g_right, hidden[t])
            grads["bU"] += g_left
            grads["bW"] += g_right
            g_h = g_h * update + params["W"].T.dot(g_right)
    return total, grads


def gru_stacked(params, x, y, delta=np.inf):
    T, B, _ = x.shape
    H = params["V"].shape[1]
    S = np.zeros((T + 1, B, H))
    RR, ZZ, NN, QQ = (np.zeros((T, B, H)) for _ in range(4))
    XU = np.einsum("tbi,gi->tbg", x, params["U"]) + params["bU"]
    for t in range(T):
        SW = S[t] @ params["W"].T + params["bW"]
        RR[t] = sig(XU[t, :, :H] + SW[:, :H])
        ZZ[t] = sig(XU[t, :, H : 2 * H] + SW[:, H : 2 * H])
        QQ[t] = SW[:, 2 * H :]
        NN[t] = np.tanh(XU[t, :, 2 * H :] + RR[t] * QQ[t])
        S[t + 1] = (1 - ZZ[t]) * NN[t] + ZZ[t] * S[t]
    E = S[T] @ params["V"].T + params["bV"] - y
    C = np.clip(E, -delta, delta)
    G = C / E.size
    DX, DS = np.zeros((T, B, 3 * H)), np.zeros((T, B, 3 * H))
    D = G @ params["V"]
    for t in range(T)[::-1]:
        DN = D * (1 - ZZ[t]) * (1 - NN[t] ** 2)
        DR = DN * QQ[t] * RR[t] * (1 - RR[t])
        DZ = D * (S[t] - NN[t]) * ZZ[t] * (1 - ZZ[t])
        DX[t] = np.hstack([DR, DZ, DN])
        DS[t] = np.hstack([DR, DZ, DN * RR[t]])
        D = D * ZZ[t] + DS[t] @ params["W"]
    grads = {"V": G.T @ S[T], "bV": G.sum(axis=0)}
    grads["U"] = np.einsum("tbg,tbi->gi", DX, x)
    grads["W"] = np.einsum("tbg,tbh->gh", DS, S[:T])
    grads["bU"] = np.einsum("tbg->g", DX)
    grads["bW"] = np.einsum("tbg->g", DS)
    return np.mean(C * (E - C / 2)), grads


def gru_cells(params, x, y, delta=np.inf):
    H = params["V"].shape[1]

    def cell_forward(inp, prev):
        xr, xz, xn = np.split(inp @ params["U"].T + params["bU"], 3, axis=1)
        hr, hz, hn = np.split(prev @ params["W"].T + params["bW"], 3, axis=1)
        r, z = sig(xr + hr), sig(xz + hz)
        n = np.tanh(xn + r * hn)
        return z * prev + (1 - z) * n, (inp, prev, r, z, n, hn)

    def cell_backward(dnext, cache):
        inp, prev, r, z, n, hn = cache
        dz_in = dnext * (prev - n) * z * (1 - z)
        dn_in = dnext * (1 - z) * (1 - n * n)
        dr_in = dn_in * hn * r * (1 - r)
        dhn = dn_in * r
        dprev = dnext * z + dr_in @ params["W"][:H] + dz_in @ params["W"][H : 2 * H]
        dprev += dhn @ params["W"][2 * H :]
        d_in, d_rec = np.hstack((dr_in, dz_in, dn_in)), np.hstack((dr_in, dz_in, dhn))
        step = {"U": d_in.T @ inp, "W": d_rec.T @ prev, "bU": d_in.sum(axis=0), "bW": d_rec.sum(axis=0)}
        return dprev, step

    state, caches = np.zeros((x.shape[1], H)), []
    for inp in x:
        state, cache = cell_forward(inp, state)
        caches.append(cache)
    err = state @ params["V"].T + params["bV"] - y
    cut = np.clip(err, -delta, delta)
    dout = cut / cut.size
    total = {"V": dout.T @ state, "bV": dout.sum(axis=0)}
    dstate = dout @ params["V"]
    for cache in reversed(caches):
        dstate, step = cell_backward(dstate, cache)
        for name, value in step.items():
            total[name] = total.get(name, 0) + value
    return np.mean(cut * (err - cut / 2)), total


# lstm


def lstm_gates(params, x, y, delta=np.inf):
    H = params["V"].shape[1]
    Ui, Uf, Ug, Uo = np.split(params["U"], 4)
    Wi, Wf, Wg, Wo = np.split(params["W"], 4)
    bi, bf, bg, bo = np.split(params["bU"] + params["bW"], 4)
    h = c = np.zeros((x.shape[1], H))
    saved = []
    for xt in x:
        hp, cp = h, c
        i = sig(xt @ Ui.T + hp @ Wi.T + bi)
        f = sig(xt @ Uf.T + hp @ Wf.T + bf)
        g = np.tanh(xt @ Ug.T + hp @ Wg.T + bg)
        o = sig(xt @ Uo.T + hp @ Wo.T + bo)
        c = f * cp + i * g
        tc = np.tanh(c)
        h = o * tc
        saved.append((xt, hp, cp, i, f, g, o, tc))
    err = h @ params["V"].T + params["bV"] - y
    cut = np.clip(err, -delta, delta)
    dy = cut / err.size
    dUi, dUf, dUg, dUo = (np.zeros_like(Ui) for _ in range(4))
    dWi, dWf, dWg, dWo = (np.zeros_like(Wi) for _ in range(4))
    dbi, dbf, dbg, dbo = (np.zeros(H) for _ in range(4))
    dh, dc = dy @ params["V"], np.zeros_like(c)
    for xt, hp, cp, i, f, g, o, tc in reversed(saved):
        do = dh * tc
        dc = dc + dh * o * (1 - tc**2)
        di = dc * g
        dg = dc * i
        df = dc * cp
        zi = di * i * (1 - i)
        zf = df * f * (1 - f)
        zg = dg * (1 - g**2)
        zo = do * o * (1 - o)
        dUi += zi.T @ xt
        dUf += zf.T @ xt
        dUg += zg.T @ xt
        dUo += zo.T @ xt
        dWi += zi.T @ hp
        dWf += zf.T @ hp
        dWg += zg.T @ hp
        dWo += zo.T @ hp
        dbi += zi.sum(0)
        dbf += zf.sum(0)
        dbg += zg.sum(0)
        dbo += zo.sum(0)
        dh = zi @ Wi + zf @ Wf + zg @ Wg + zo @ Wo
        dc = f * dc
    db = np.concatenate([dbi, dbf, dbg, dbo])
    grads = {"U": np.vstack([dUi, dUf, dUg, dUo]), "W": np.vstack([dWi, dWf, dWg, dWo])}
    grads |= {"bU": db, "bW": db.copy(), "V": dy.T @ h, "bV": dy.sum(0)}
    return np.mean(cut * (err - cut / 2)), grads


def lstm_samples(params, x, y, delta=np.inf):
    grads = {key: np.zeros_like(value) for key, value in params.items()}
    n, loss = params["V"].shape[1], 0.0
    for k in range(x.shape[1]):
        H, C, gates = [np.zeros((n, 1))], [np.zeros((n, 1))], []
        for t in range(len(x)):
            net = params["U"] @ x[t, k][:, None] + params["W"] @ H[-1]
            net += (params["bU"] + params["bW"])[:, None]
            i, f, g, o = sig(net[:n]), sig(net[n : 2 * n]), np.tanh(net[2 * n : 3 * n]), sig(net[3 * n :])
            C.append(f * C[-1] + i * g)
            H.append(o * np.tanh(C[-1]))
            gates.append((i, f, g, o))
        miss = params["V"] @ H[-1] + params["bV"][:, None] - y[k][:, None]
        held = np.clip(miss, -delta, delta)
        loss += np.sum(held * (miss - held / 2)) / y.size
        gy = held / y.size
        grads["V"] += gy @ H[-1].T
        grads["bV"] += gy[:, 0]
        gh, gc = params["V"].T @ gy, np.zeros((n, 1))
        for t in range(len(x), 0, -1):
            i, f, g, o = gates[t - 1]
            gc += gh * o * (1 - np.tanh(C[t]) ** 2)
            gi, gf, gg, go = gc * g, gc * C[t - 1], gc * i, gh * np.tanh(C[t])
            gnet = np.vstack((gi * i * (1 - i), gf * f * (1 - f), gg * (1 - g**2), go * o * (1 - o)))
            grads["U"] += gnet @ x[t - 1, k][None, :]
            grads["W"] += gnet @ H[t - 1].T
            grads["bU"] += gnet[:, 0]
            grads["bW"] += gnet[:, 0]
            gh = params["W"].T @ gnet
            gc = gc * f
    return loss, grads


def lstm_stacked(params, x, y, delta=np.inf):
    T, B, _ = x.shape
    n = params["V"].shape[1]
    hid, mem = np.zeros((T + 1, B, n)), np.zeros((T + 1, B, n))
    act = np.zeros((T, B, 4 * n))
    for t in range(T):
        pre = x[t] @ params["U"].T + hid[t] @ params["W"].T + params["bU"] + params["bW"]
        act[t] = sig(pre)
        act[t, :, 2 * n : 3 * n] = np.tanh(pre[:, 2 * n : 3 * n])
        mem[t + 1] = act[t, :, n : 2 * n] * mem[t] + act[t, :, :n] * act[t, :, 2 * n : 3 * n]
        hid[t + 1] = act[t, :, 3 * n :] * np.tanh(mem[t + 1])
    err = hid[T] @ params["V"].T + params["bV"] - y
    cut = np.clip(err, -delta, delta)
    top = cut / err.size
    slope = act * (1 - act)
    slope[:, :, 2 * n : 3 * n] = 1 - act[:, :, 2 * n : 3 * n] ** 2
    local = np.zeros_like(act)
    d_hid, d_mem = top @ params["V"], np.zeros((B, n))
    for t in reversed(range(T)):
        inp, forget, cand, out = np.split(act[t], 4, axis=1)
        squashed = np.tanh(mem[t + 1])
        d_mem += d_hid * out * (1 - squashed**2)
        parts = (d_mem * cand, d_mem * mem[t], d_mem * inp, d_hid * squashed)
        local[t] = np.concatenate(parts, axis=1) * slope[t]
        d_hid = local[t] @ params["W"]
        d_mem = d_mem * forget
    grads = {"V": top.T @ hid[T], "bV": top.sum(axis=0)}
    grads["U"] = np.tensordot(local, x, axes=((0, 1), (0, 1)))
    grads["W"] = np.tensordot(local, hid[:-1], axes=((0, 1), (0, 1)))
    grads["bU"] = local.sum(axis=(0, 1))
    grads["bW"] = local.sum(axis=(0, 1))
    return np.mean(cut * (err - cut / 2)), grads


def lstm_course(params, x, y, delta=np.inf):
    xs = np.transpose(x, (2, 1, 0))  # n_x, m, T_x
    n_a, m, T_x = params["V"].shape[1], xs.shape[1], xs.shape[2]
    Wi, Wf, Wc, Wo = np.split(np.concatenate((params["W"], params["U"]), axis=1), 4)
    bi, bf, bc, bo = np.split((params["bU"] + params["bW"])[:, None], 4)
    a_next, c_next = np.zeros((n_a, m)), np.zeros((n_a, m))
    caches = []
    for t in range(T_x):
        a_prev, c_prev = a_next, c_next
        concat = np.concatenate((a_prev, xs[:, :, t]))
        it, ft = sig(np.dot(Wi, concat) + bi), sig(np.dot(Wf, concat) + bf)
        cct, ot = np.tanh(np.dot(Wc, concat) + bc), sig(np.dot(Wo, concat) + bo)
        c_next = ft * c_prev + it * cct
        a_next = ot * np.tanh(c_next)
        caches.append((concat, c_next, c_prev, ft, it, cct, ot))
    err = np.dot(params["V"], a_next) + params["bV"][:, None] - y.T
    cut = np.clip(err, -delta, delta)
    dy = cut / err.size
    dWy, dby = np.dot(dy, a_next.T), np.sum(dy, axis=1)
    dW = {name: np.zeros_like(Wi) for name in "ifco"}
    db = {name: np.zeros_like(bi) for name in "ifco"}
    da_next, dc_next = np.dot(params["V"].T, dy), np.zeros((n_a, m))
    for t in reversed(range(T_x)):
        concat, c_next, c_prev, ft, it, cct, ot = caches[t]
        tanh_c = np.tanh(c_next)
        dot = da_next * tanh_c * ot * (1 - ot)
        dcct = (dc_next * it + ot * (1 - tanh_c**2) * it * da_next) * (1 - cct**2)
        dit = (dc_next * cct + ot * (1 - tanh_c**2) * cct * da_next) * it * (1 - it)
        dft = (dc_next * c_prev + ot * (1 - tanh_c**2) * c_prev * da_next) * ft * (1 - ft)
        for name, gate in zip("ifco", (dit, dft, dcct, dot), strict=True):
            dW[name] += np.dot(gate, concat.T)
            db[name] += np.sum(gate, axis=1, keepdims=True)
        dc_next = dc_next * ft + ot * (1 - tanh_c**2) * ft * da_next
        da_next = np.dot(Wf[:, :n_a].T, dft) + np.dot(Wi[:, :n_a].T, dit)
        da_next += np.dot(Wc[:, :n_a].T, dcct) + np.dot(Wo[:, :n_a].T, dot)
    stacked = np.concatenate([dW[name] for name in "ifco"])
    bias = np.concatenate([db[name] for name in "ifco"]).ravel()
    grads = {"W": stacked[:, :n_a], "U": stacked[:, n_a:], "bU": bias, "bW": bias.copy()}
    return np.mean(cut * (err - cut / 2)), grads | {"V": dWy, "bV": dby}


# other nets


def char_rnn(params, inputs, targets):
    """Softmax and cross-entropy at every step, summed over time; inputs (T, D) and targets (T, K) one-hot."""
    Wxh, Whh, Why, bh, by = (params[name] for name in ("Wxh", "Whh", "Why", "bh", "by"))
    xs, hs, ps = {}, {-1: np.zeros((len(Whh), 1))}, {}
    loss = 0
    for t in range(len(inputs)):
        xs[t] = inputs[t][:, None]
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        scores = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(scores) / np.sum(np.exp(scores))
        loss = loss - np.sum(targets[t][:, None] * np.log(ps[t]))
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = ps[t] - targets[t][:, None]
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(Why.T, dy) + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dhraw)
    return loss, {"Wxh": dWxh, "Whh": dWhh, "Why": dWhy, "bh": dbh, "by": dby}


def mlp(params, X, labels):
    """Two layers of tanh, softmax, cross-entropy averaged over the batch; X (N, D), labels (N, K)."""
    a1 = np.tanh(X @ params["W1"] + params["b1"])
    a2 = np.tanh(a1 @ params["W2"] + params["b2"])
    scores = a2 @ params["W3"] + params["b3"]
    exps = np.exp(scores)
    probs = exps / exps.sum(axis=1, keepdims=True)
    loss = -np.sum(labels * np.log(probs)) / len(X)
    dscores = (probs - labels) / len(X)
    dW3, db3 = a2.T @ dscores, dscores.sum(axis=0)
    dz2 = (dscores @ params["W3"].T) * (1 - a2**2)
    dW2, db2 = a1.T @ dz2, dz2.sum(axis=0)
    dz1 = (dz2 @ params["W2"].T) * (1 - a1**2)
    dW1, db1 = X.T @ dz1, dz1.sum(axis=0)
    return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}


def minimal_gated(params, x, y):
    """A minimal gated unit, squared error of the last step; x (T, B, I), y (B, O)."""
    h, kept = np.zeros((x.shape[1], len(params["Whf"]))), []
    for xt in x:
        old = h
        f = sig(xt @ params["Wxf"].T + old @ params["Whf"].T + params["bf"])
        m = f * old
        n = np.tanh(xt @ params["Wxn"].T + m @ params["Whn"].T + params["bn"])
        h = (1 - f) * old + f * n
        kept.append((xt, old, f, m, n))
    e = h @ params["Wy"].T - y
    loss = np.sum(e**2) / len(y)
    de = 2 * e / len(y)
    g = {name: np.zeros_like(value) for name, value in params.items()}
    g["Wy"] += de.T @ h
    dh = de @ params["Wy"]
    for xt, old, f, m, n in reversed(kept):
        dn = dh * f * (1 - n**2)
        dm = dn @ params["Whn"]
        df = (dh * (n - old) + dm * old) * f * (1 - f)
        g["Wxn"] += dn.T @ xt
        g["Whn"] += dn.T @ m
        g["bn"] += dn.sum(axis=0)
        g["Wxf"] += df.T @ xt
        g["Whf"] += df.T @ old
        g["bf"] += df.sum(axis=0)
        dh = dh * (1 - f) + dm * f + df @ params["Whf"]
    return loss, g


def gru_before(params, x, y):
    """A GRU with its reset gate before the product, squared error of the last step; x (T, B, I)."""
    Wxr, Wxz, Wxh, Whr, Whz, Whh = (params[k] for k in ("Wxr", "Wxz", "Wxh", "Whr", "Whz", "Whh"))
    h, tape = np.zeros((x.shape[1], len(Whh))), []
    for xt in x:
        hp = h
        r = sig(xt @ Wxr + hp @ Whr + params["br"])
        z = sig(xt @ Wxz + hp @ Whz + params["bz"])
        hh = np.tanh(xt @ Wxh + (r * hp) @ Whh + params["bh"])
        h = z * hh + (1 - z) * hp
        tape.append((xt, hp, r, z, hh))
    diff = h @ params["Why"] + params["by"] - y
    loss = np.mean(diff**2) / 2
    d = diff / diff.size
    grads = {k: np.zeros_like(v) for k, v in params.items()}
    grads["Why"] += h.T @ d
    grads["by"] += d.sum(0)
    dh = d @ params["Why"].T
    for xt, hp, r, z, hh in tape[::-1]:
        dhh = dh * z * (1 - hh**2)
        drh = dhh @ Whh.T
        dr = drh * hp * r * (1 - r)
        dz = dh * (hh - hp) * z * (1 - z)
        grads["Wxh"] += xt.T @ dhh
        grads["Whh"] += (r * hp).T @ dhh
        grads["bh"] += dhh.sum(0)
        grads["Wxr"] += xt.T @ dr
        grads["Whr"] += hp.T @ dr
        grads["br"] += dr.sum(0)
        grads["Wxz"] += xt.T @ dz
        grads["Whz"] += hp.T @ dz
        grads["bz"] += dz.sum(0)
        dh = dh * (1 - z) + drh * r + dr @ Whr.T + dz @ Whz.T
    return loss, grads


def lstm_every_step(params, x, y):
    """LSTM with an output at every step, squared error averaged over all; x (T, B, I), y (T, B, O)."""
    Wx, Wh, b, Wy, by = (params[name] for name in ("Wx", "Wh", "b", "Wy", "by"))
    n = len(Wh)
    prev_h, prev_c = np.zeros((x.shape[1], n)), np.zeros((x.shape[1], n))
    loss, caches = 0, []
    for t in range(len(x)):
        a = x[t] @ Wx + prev_h @ Wh + b
        i, f, o, g = sig(a[:, :n]), sig(a[:, n : 2 * n]), sig(a[:, 2 * n : 3 * n]), np.tanh(a[:, 3 * n :])
        next_c = f * prev_c + i * g
        next_h = o * np.tanh(next_c)
        out = next_h @ Wy + by
        loss = loss + np.sum((out - y[t]) ** 2) / y.size
        caches.append((i, f, o, g, prev_c, prev_h, next_c, next_h, out))
        prev_h, prev_c = next_h, next_c
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    dWy, dby = np.zeros_like(Wy), np.zeros_like(by)
    dprev_h, dprev_c = np.zeros_like(prev_h), np.zeros_like(prev_c)
    for t in range(len(x) - 1, -1, -1):
        i, f, o, g, prev_c, prev_h, next_c, next_h, out = caches[t]
        dout = 2 * (out - y[t]) / y.size
        dWy += next_h.T @ dout
        dby += dout.sum(axis=0)
        dnext_h = dout @ Wy.T + dprev_h
        dnext_c = dprev_c + dnext_h * o * (1 - np.tanh(next_c) ** 2)
        di, df, dg = dnext_c * g, dnext_c * prev_c, dnext_c * i
        do = dnext_h * np.tanh(next_c)
        da = np.hstack((di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)))
        dWx += x[t].T @ da
        dWh += prev_h.T @ da
        db += da.sum(axis=0)
        dprev_h = da @ Wh.T
        dprev_c = dnext_c * f
    return loss, {"Wx": dWx, "Wh": dWh, "b": db, "Wy": dWy, "by": dby}


def inputs_of(name, seed, steps):
    """Return parameters, data and the axes of the data for one of the other nets; all sizes differ."""
    generator = np.random.default_rng(seed)

    def draw(*shape):
        return generator.standard_normal(shape) / np.sqrt(shape[-1])

    if name == "char_rnn":
        params = {"Wxh": draw(6, 4), "Whh": draw(6, 6), "Why": draw(7, 6), "bh": draw(6, 1), "by": draw(7, 1)}
        inputs = np.eye(4)[generator.integers(0, 4, steps)]
        return params, (inputs, np.eye(7)[generator.integers(0, 7, steps)]), ("TI", "TO")
    if name == "mlp":
        sizes = {"W1": (3, 6), "b1": (6,), "W2": (6, 5), "b2": (5,), "W3": (5, 4), "b3": (4,)}
        params = {key: draw(*shape) for key, shape in sizes.items()}
        return (
            params,
            (generator.standard_normal((7, 3)), np.eye(4)[generator.integers(0, 4, 7)]),
            ("BI", "BO"),
        )
    batch, n_in, n_hid, n_out = 4, 3, 6, 2
    x, y = generator.standard_normal((steps, batch, n_in)), generator.standard_normal((batch, n_out))
    if name == "minimal_gated":
        params = {key: draw(n_hid, n_in) for key in ("Wxf", "Wxn")}
        params |= {key: draw(n_hid, n_hid) for key in ("Whf", "Whn")} | {"Wy": draw(n_out, n_hid)}
        return params | {"bf": draw(n_hid), "bn": draw(n_hid)}, (x, y), ("TBI", "BO")
    if name == "gru_before":
        params = {key: draw(n_in, n_hid) for key in ("Wxr", "Wxz", "Wxh")}
        params |= {key: draw(n_hid, n_hid) for key in ("Whr", "Whz", "Whh")}
        params |= {key: draw(n_hid) for key in ("br", "bz", "bh")}
        return params | {"Why": draw(n_hid, n_out), "by": draw(n_out)}, (x, y), ("TBI", "BO")
    params = {"Wx": draw(n_in, 4 * n_hid), "Wh": draw(n_hid, 4 * n_hid), "b": draw(4 * n_hid)}
    params |= {"Wy": draw(n_hid, n_out), "by": draw(n_out)}
    return params, (x, generator.standard_normal((steps, batch, n_out))), ("TBI", "TBO")


CELLS = {
    "rnn": (rnn_columns, rnn_stacked, rnn_recursive, rnn_course),
    "gru": (gru_gates, gru_samples, gru_stacked, gru_cells),
    "lstm": (lstm_gates, lstm_samples, lstm_stacked, lstm_course),
}
NETS = (char_rnn, mlp, minimal_gated, gru_before, lstm_every_step)
