"""Export a net from PyTorch as an ONNX model; the argument is an ``Export``."""

import sys

import msgspec
import numpy as np

from bench.machine.lifeline import replies


class Export(msgspec.Struct, frozen=True):
    """Name the files of the parameters and of the model, and describe the net."""

    params: str
    model: str
    shape: tuple[int, int, int]  # of x
    cell: str
    activation: str


def main() -> None:
    """Write the model of the command line, and send True."""
    with replies() as send:
        export(msgspec.json.decode(sys.argv[1], type=Export))
        send(b"true")


def export(job: Export) -> None:
    """Write the model: the layer keeps its operator, where the newer exporter writes an RNN step by step."""
    import torch

    params = {name: torch.from_numpy(p) for name, p in np.load(job.params).items()}
    (n_outputs, hidden), bias = params["V"].shape, "bV" in params
    chosen = {"nonlinearity": job.activation} if job.cell == "rnn" else {}
    kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[job.cell]

    class Net(torch.nn.Module):
        """The layer, and the output of its last step."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = kind(job.shape[2], hidden, bias=bias, **chosen)
            self.output = torch.nn.Linear(hidden, n_outputs, bias=bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y_hat: torch.Tensor = self.output(self.layer(x)[0][-1])
            return y_hat

    net = Net().eval()
    names = {"U": "layer.weight_ih_l0", "W": "layer.weight_hh_l0", "V": "output.weight",
             "bU": "layer.bias_ih_l0", "bW": "layer.bias_hh_l0", "bV": "output.bias"}  # fmt: skip
    net.load_state_dict({names[name]: p for name, p in params.items()})
    torch.onnx.export(
        net, (torch.zeros(job.shape),), job.model, dynamo=False, input_names=["x"], output_names=["y_hat"]
    )


if __name__ == "__main__":
    main()
