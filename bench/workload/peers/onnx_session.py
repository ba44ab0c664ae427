"""Variant ``onnxruntime-layer``: the library's layer, exported from PyTorch, in a session with one thread."""

import os
import time
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from bench.machine.child import Child, ChildError
from bench.machine.environ import COMPILER_CACHES
from bench.workload.peers.onnx_export import Export


def exported(params: Any, shape: tuple[int, int, int], cell: str, activation: str) -> Path:
    """Return the file of the model, which a child process writes, since torch must not be loaded here.

    The file stands where torch.compile has its cache, so that a run exports a model once.

    Raises:
        RuntimeError: the export failed.
    """
    identity = sha256(repr((shape, cell, activation, *sorted(params))).encode())
    for _, p in sorted(params.items()):
        identity.update(p.tobytes())
    folder = Path(os.environ[COMPILER_CACHES[0]])
    path = folder / f"{identity.hexdigest()}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        arrays, model = (path.with_suffix(f".{os.getpid()}.{kind}") for kind in ("npz", "onnx"))
        np.savez(arrays, **params)
        job = msgspec.json.encode(Export(str(arrays), str(model), shape, cell, activation)).decode()
        with Child("bench.workload.peers.onnx_export", [job], os.environ) as child:
            try:
                child.receive(bool)
            except ChildError as error:
                raise RuntimeError(f"the export from PyTorch failed: {child.explain(error)}") from error
        model.replace(path)  # a whole file only: another process may look for it
    return path


def bind(
    task: str, params: Any, x: Any, y: Any, *, delta: float, lr: float, cell: str, activation: str = "tanh"
) -> Any:
    """Export the net, unless a process of this run has, and return the ``Bound`` of its forward pass."""
    import onnxruntime

    start_ns = time.perf_counter_ns()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = exported(params, x.shape, cell, activation)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    compile_ns = time.perf_counter_ns() - start_ns
    last: dict[str, Any] = {}

    def call() -> None:
        (last["y_hat"],) = session.run(None, {"x": x})

    return SimpleNamespace(call=call, reset=lambda: None, result=lambda: last, compile_ns=compile_ns)


rnn, gru, lstm = (partial(bind, cell=cell) for cell in ("rnn", "gru", "lstm"))
