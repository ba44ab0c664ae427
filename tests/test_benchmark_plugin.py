"""``pytest --benchmark`` in parts: which options ask for it, which benchmarks there are, what is timed."""

from types import SimpleNamespace
from typing import Any

import benchmark_plugin
import pytest
from benchmark_plugin import entries, timed, timing

from bench.machine.devices import Device, Devices
from bench.machine.libraries import PyTorch
from bench.workload.case import TASKS, sine_case
from bench.workload.catalog import VARIANTS, find


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"benchmark_variant": ["nonsense"]}, "no variant 'nonsense'; there are: numpy-published"),
        ({"benchmark_cell": "Gru"}, r"no cell 'Gru' \(did you mean 'gru'\?\); there are: rnn, gru, lstm"),
        ({"benchmark_histogram": [True]}, "--benchmark-histogram needs two more packages"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_timed(
    options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    config: Any = SimpleNamespace(getoption=options.get)
    with pytest.raises(pytest.UsageError, match=said):
        benchmark_plugin.BenchmarkPlugin(config)


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        *((args, True) for args in (
            "--benchmark", "--benchmark-only", "--benchmark-json=out.json", "--benchmark-json out.json",
            "--benchmark-compare", "--benchmark-autosave", "--benchmark-group-by=task",
            "--benchmark-disable --benchmark-enable",
        )),
        *((args, False) for args in (
            "", "-k forward tests/test_data.py", "--benchmark-skip", "--benchmark-disable",
        )),
    ],
)  # fmt: skip
def test_options_that_only_make_sense_with_benchmarks_imply_them(args: str, wanted: bool) -> None:
    asked = {"benchmark": "--benchmark" in args.split()}
    config: Any = SimpleNamespace(getoption=asked.get, invocation_params=SimpleNamespace(args=args.split()))
    assert timing(config) is wanted


def devices(*kinds: str, torch: str | None = "9.9") -> Devices:
    present = tuple(Device(kind, kind.partition(":")[0], "", None, ()) for kind in kinds)
    return Devices(present, (), missing={} if torch else {"torch": "PyTorch is not installed"})


@pytest.mark.parametrize("cell", [{}, {"cell": "gru", "bias": True}], ids=["rnn", "gru"])
def test_one_benchmark_per_task_variant_and_device_that_fits(
    cell: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_plugin, "find_devices", lambda: devices("cpu", "cuda:0", "cuda:1"))
    params = entries({variant.name: variant for variant in VARIANTS}, **cell)
    n_fitting = sum(3 if "cuda" in variant.devices else 1 for variant in VARIANTS)
    assert len(params) == len(TASKS) * n_fitting
    ids = [param.id for param in params]
    assert len(set(ids)) == len(ids)
    assert f"{'gru-' if cell else ''}forward-torch-layer-cuda:1" in ids
    assert not any("numpy" in one and "cuda" in one for one in ids)
    for param in params:
        case, spec, device = param.values
        assert case == sine_case(case.task, "positional", **cell)
        reason = find(spec).unsupported(case, device)
        assert (case.cell in find(spec).cells) or reason
        assert [mark.kwargs for mark in param.marks] == ([{"reason": reason}] if reason else [])


def test_without_torch_its_variants_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_plugin, "find_devices", lambda: devices("cpu", torch=None))
    params = entries({name: find(name) for name in ("numpy-batched", "torch-layer")})
    skipped = {param.id: [mark.kwargs["reason"] for mark in param.marks] for param in params}
    assert skipped["forward-numpy-batched-cpu"] == []
    assert skipped["forward-torch-layer-cpu"] == ["PyTorch is not installed"]


def test_numpy_variants_alone_do_not_start_torch_to_look_for_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(benchmark_plugin, "find_devices")
    assert len(entries({"numpy-batched": find("numpy-batched")})) == 3


def test_an_accelerator_is_waited_for_inside_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(PyTorch, "synchroniser", lambda own, device: lambda: events.append(device))

    def call() -> None:
        events.append("call")

    timed(call, "cuda:1")()
    assert events == ["call", "cuda:1"]
    assert timed(call, "cpu") is call  # and nothing else
