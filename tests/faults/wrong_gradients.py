"""Variants with a wrong gradient each, for the diagnosis; found as ``faults.wrong_gradients:NAME``."""

from functools import partial
from types import SimpleNamespace
from typing import Any

from mutants import changed, with_results

from impl_numpy import published, rnn
from impl_numpy.contract import Bound, bind

cut = changed("dh = da @ W\n", "dh = 0 * dh\n")  # dL/dh_{t-1} is lost
doubled = partial(with_results, lambda found: found | {"dW": 2 * found["dW"]} if "dW" in found else found)


def doubled_tensors(*args: Any, **options: Any) -> Bound:
    """PyTorch's reference with twice the gradient of W."""
    from impl_torch.contract import rnn_autograd

    return doubled(rnn_autograd)(*args, **options)


def variant(name: str, bind: Any, library: str = "numpy", **more: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, library=library, bind=bind, **more)


cut_short = variant("cut-short", cut, bias=True)
updating = variant("updating", cut, tasks=("forward", "train_step"))
single = variant("single", cut, dtypes=("float32",))
right = variant("right", partial(bind, rnn))
copied = variant("copied", partial(bind, published))
tensors = variant("tensors", doubled_tensors, library="torch", activations=("tanh", "relu"))
wrong_loss = variant("wrong-loss", with_results(lambda found: {k: 2 * v for k, v in found.items()}, cut))
