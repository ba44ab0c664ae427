"""The file of a training: sealed and synced as a journal, without a NaN, read however it is formatted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_journal import seal, unsealed
from trainings import FALL, write_training

from bench.cli.main import main
from bench.records.sealed import FIRST, SEALED, sealed_line
from bench.training import load_result

SMALL = ("--variant", "numpy-inplace", "--epochs", "3", "--hidden", "4", "--out", "t")
FILE = Path("t/training.jsonl")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines() -> list[bytes]:
    return FILE.read_bytes().splitlines(keepends=True)


def load_with(dtype: str = "float64", **changes: Any) -> list[str]:
    """Arguments of a training that starts from parameters of our own."""
    generator = np.random.default_rng(1)
    params = {"U": (4, 6), "W": (4, 4), "V": (8, 4)}
    arrays = {name: generator.standard_normal(shape) for name, shape in params.items()}
    np.savez("start.npz", **arrays | {name: arrays[name] * by for name, by in changes.items()})
    return ["train", *SMALL, "--load", "start.npz", "--dtype", dtype]


def series(values: list[float]) -> list[str]:
    """Arguments of a training on a series."""
    Path("mine.csv").write_text("v\n" + "".join(f"{value!r}\n" for value in values))
    return ["train", *SMALL, "--series", "mine.csv", "--column", "v"]


def waves(size: float) -> list[float]:
    return [size * (1 + 0.5 * float(np.sin(n))) for n in range(40)]


# what is written


def test_every_line_is_sealed_and_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == FILE.name:
            synced.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("nothing tells the name of an open file here")
    monkeypatch.setattr(os, "fsync", noted)
    assert main(["train", *SMALL]) == 0
    assert all(map(SEALED.fullmatch, lines()))
    ends = np.cumsum([len(line) for line in lines()]).tolist()
    assert synced == ends


@pytest.mark.parametrize(("zero", "said"), [("W", "W"), ("UWV", "U, W and V")])
def test_a_matrix_that_starts_at_zero_is_said_to_have_no_distance(
    zero: str, said: str, capsys: Capture
) -> None:
    assert main(load_with(**dict.fromkeys(zero, 0.0))) == 0
    assert f"{said} of numpy-inplace started at zero" in capsys.readouterr().out
    moved = unsealed(FILE)[-1]["moved"]
    assert {name for name, distance in moved.items() if distance is None} == set(zero)
    assert all(0 < distance < 1 for name, distance in moved.items() if name not in zero)


@pytest.mark.parametrize(
    ("arguments", "when", "epochs"),
    [
        *((lambda size=size: load_with(V=size), "in epoch 1 ", []) for size in (1e200, 1e300, 1.5e307)),
        (lambda: ["train", *SMALL, "--lr", "1e9"], "in epochs 2 to 3 at learning rate 1e+09", [1]),
    ],
)
def test_divergence_is_told_with_its_epochs_and_keeps_what_was(
    arguments: Callable[[], list[str]], when: str, epochs: list[int], capsys: Capture
) -> None:
    assert main(arguments()) == 3
    assert f"numpy-inplace: it diverged {when}" in capsys.readouterr().out
    assert load_result(Path("t")).runs[0].epochs.tolist() == epochs
    assert "diverged" in Path("t/report.md").read_text()


NO_SQUARE = "whose squares no float64 holds; multiply the column by a power of ten\n"


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (lambda: load_with("float32", V=1e39), "start.npz: V holds numbers beyond float32"),
        (lambda: series(waves(2e301)), NO_SQUARE),
        (lambda: series(waves(1e308)), NO_SQUARE),
        (lambda: series([1.7e308 * float(np.sin(n)) for n in range(40)]), NO_SQUARE),
        (lambda: series(waves(1e155)), NO_SQUARE),
        (lambda: series(waves(1e-320)), NO_SQUARE),
        (lambda: series([5e-324 * (n % 2) for n in range(40)]), NO_SQUARE),
        (lambda: series([1e-320, 1e308, *waves(1.0)]), NO_SQUARE),
        (
            lambda: series([value * (1 if n < 30 else 1e60) for n, value in enumerate(waves(1.0))]),
            "the test windows lie so far from the training windows",
        ),
    ],
)
def test_numbers_that_cannot_be_computed_with_are_refused_before_the_training(
    arguments: Callable[[], list[str]], refusal: str, capsys: Capture
) -> None:
    assert main(arguments()) == 2
    err = capsys.readouterr().err
    assert refusal in err
    assert err.count("\n") == 1
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("size", "options"), [(1e149, ()), (1e-149, ("--delta", "1e-320", "--target", "1e300"))]
)
def test_a_series_that_fits_is_trained_and_read_and_a_loss_of_zero_drawn(
    size: float, options: tuple[str, ...], capsys: Capture
) -> None:
    assert main([*series(waves(size)), *options]) == 0
    printed = capsys.readouterr()
    assert not printed.err
    assert f"e{'+' if size > 1 else '-'}1" in printed.out


# what is read


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no training of rnnbench"),
        (b"no json\n", "is no training of rnnbench"),
        (b'{"kind":"header","schema":1}\n', "is no training of rnnbench"),  # as before lines were sealed
        (sealed_line(FIRST, b'{"kind":"header","schema":3}')[0], "has schema 3"),
        (sealed_line(FIRST, b'{"kind":"header","schema":2,"schema":2}')[0], "line 1 cannot be read"),
    ],
)
def test_a_file_that_is_no_training_is_refused(content: bytes, said: str, capsys: Capture) -> None:
    FILE.parent.mkdir()
    FILE.write_bytes(content)
    assert main(["report", "t"]) == 2
    assert said in capsys.readouterr().err


def test_a_number_that_was_changed_is_damage(capsys: Capture) -> None:
    write_training(Path("t"), {"numpy-inplace": FALL})
    FILE.write_bytes(FILE.read_bytes().replace(b'"epoch":100,', b'"epoch":101,'))
    assert main(["report", "t"]) == 2
    assert "cannot be read: its seal does not fit it and the line before" in capsys.readouterr().err


def test_a_training_from_before_the_choice_of_a_cell_is_one_of_the_tutorials(folder: Path) -> None:
    write_training(folder, {"numpy-inplace": FALL})
    file = folder / FILE.name
    records = unsealed(file)
    for name in ("cell", "bias"):
        del records[0]["settings"][name]
    seal(file, records)
    case = load_result(folder).header.case
    assert (case.cell, case.bias) == ("rnn", False)


# what contradicts itself, or is out of bounds

Records = list[dict[str, Any]]


def of_kind(records: Records, name: str) -> dict[str, Any]:
    return next(record for record in records if record["kind"] == name)


CONTRADICTIONS: list[tuple[Callable[[Records], object], str]] = [
    (lambda r: None, ""),
    (lambda r: r.insert(1, r.pop(2)), "a point of epoch 1 belongs to no variant"),
    (lambda r: r.pop(1), "a point of epoch 1 belongs to no variant"),
    (lambda r: r.insert(1, r[1]), "starts before 'numpy-inplace' stops"),
    (lambda r: r.extend(r[1:7]), "nobody asked for the variant 'numpy-inplace' there"),
    (lambda r: r.append(r[0]), "holds more than one header"),
    (lambda r: of_kind(r, "stop").update(variant="ghost"), "'ghost' stops where"),
    (lambda r: r[0]["settings"].update(variants=["numpy-loop", "torch-layer"]), "nobody asked for"),
    (lambda r: r[0]["settings"].update(variants=[]), "$.settings.variants"),
    (lambda r: r[0]["truth"][0].pop(), "test windows that are not of 8 values"),
    (lambda r: r[0].update(truth=[]), "$.truth"),
    (lambda r: r[2]["y_hat"][0].pop(), "not of the shape of the test windows"),
    (lambda r: r[2]["y_hat"].pop(), "not of the shape of the test windows"),
    (lambda r: r[2].update(y_hat=[]), "$.y_hat"),
    (lambda r: r[3].update(epoch=1), "epoch 1 of 300 after epoch 1"),
    (lambda r: r[5].update(epoch=301), "epoch 301 of 300 after epoch 200"),
    (lambda r: r[3].update(elapsed_ns=1), "1 ns in epoch 100 after"),
    (lambda r: r[0]["shape"].update(B=-1), "a shape of"),
    (lambda r: r[0]["settings"].update(layout="\x1b"), "no layout is called"),
    (lambda r: r[1].update(variant="\x1b[31mred"), "$.variant"),
    (lambda r: r[1].update(device="\u202eupc"), "$.device"),
    (lambda r: r[1].update(variant="a\nb"), "$.variant"),
    (lambda r: r[1].update(library="jax"), "no library is called 'jax'"),
    (lambda r: r[0].update(parameters=["\x07"]), "$.parameters[0]"),
    (lambda r: of_kind(r, "stop").update(moved={"X": 1.0}), "moved by {'X': 1.0}"),
    (lambda r: r[0]["machine"].update(packages=5), "got `int` - at `$.packages`"),
    (lambda r: r[3].update(loss=-1.0), "$.loss"),
    (lambda r: r[3].update(elapsed_ns=10**17), "$.elapsed_ns"),
    (lambda r: r[2]["y_hat"][0].__setitem__(0, 1e300), "$.y_hat[0][0]"),
    (lambda r: r[0].update(scale=0.0), "$.scale"),
    (lambda r: r[0]["settings"].update(every=0), "$.settings.every"),
    (lambda r: r[0]["settings"].update(lr=0.0), "$.settings.lr"),
    (lambda r: of_kind(r, "stop").update(moved={"W": -1.0}), "$.moved[...]"),
]


@pytest.mark.parametrize(("change", "refusal"), CONTRADICTIONS)
def test_a_training_that_contradicts_itself_or_is_out_of_bounds_is_refused(
    change: Callable[[Records], object], refusal: str, capsys: Capture
) -> None:
    write_training(Path("t"), {"numpy-inplace": FALL, "torch-layer": FALL})
    records = unsealed(FILE)
    change(records)
    seal(FILE, records)
    if not refusal:
        assert load_result(Path("t")).status == "complete"
        return
    assert main(["report", "t"]) == 2
    err = capsys.readouterr().err
    assert refusal in err
    assert err[:-1].isprintable()


# what happens meanwhile

VARIANT = """
import types
from pathlib import Path
from impl_numpy.rnn_inplace import bind as usual

def bind(*args, **options):
    file = Path({file!r})
    {harm}
    return usual(*args, **options)

own = types.SimpleNamespace(name="own", library="numpy", bind=bind)
"""


@pytest.mark.parametrize(
    ("harm", "refusal"),
    [
        ("file.unlink()", "was deleted, moved or replaced while"),
        ("file.write_bytes(b'')", "was cut short by another program"),
        ("file.write_bytes(file.read_bytes()[:-1])", "was cut short by another program"),
        ("file.rename(file.with_name('moved'))", "was deleted, moved or replaced"),
        ("new = file.with_name('new'); new.write_bytes(file.read_bytes()); new.replace(file)", "was deleted"),
    ],
    ids=["deleted", "emptied", "cut", "moved", "replaced"],
)
def test_a_file_that_is_harmed_while_it_is_written_ends_the_training(
    folder: Path, harm: str, refusal: str, capsys: Capture
) -> None:
    module = f"harms_{folder.name.replace('-', '_')}"
    Path(f"{module}.py").write_text(VARIANT.format(file=str(FILE.absolute()), harm=harm))
    assert main(["train", "--variant", f"{module}:own", *SMALL[2:]]) == 2
    err = capsys.readouterr().err
    assert refusal in err
    assert "start anew" in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("few_cases")
@pytest.mark.parametrize("most", [0, 100, 2000])
def test_a_full_disk_is_one_line_that_says_what_to_do(
    most: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        codes = main(["train", *SMALL]), main(["verify", "--variant", "numpy-loop", "--device", "cpu"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert codes == (2, 2)
    train, verify = capsys.readouterr().err.splitlines()
    assert train.startswith("rnnbench: the training broke off: ")
    assert train.endswith("; make room, or choose another --out or TMPDIR, and train again")
    assert f"File too large; temporary files are in {Path.cwd()}, which TMPDIR chooses" in verify


def test_what_cannot_be_drawn_is_said_to_be_safe(capsys: Capture) -> None:
    Path("t/losses.csv").mkdir(parents=True)
    assert main(["train", *SMALL]) == 3
    err = capsys.readouterr().err
    assert "what was measured is safe in t, but its report could not be drawn: " in err
    assert "t/losses.csv: it is a folder" in err
    assert "rnnbench report t draws it" in err
    assert main(["report", "t"]) == 0


def test_a_variant_that_no_line_can_name_is_refused_before_the_training(
    folder: Path, capsys: Capture
) -> None:
    module = f"odd_{folder.name.replace('-', '_')}"
    text = VARIANT.format(file="x", harm="pass").replace('name="own"', r'name="red\x1b[31m"')
    Path(f"{module}.py").write_text(text)
    assert main(["train", "--variant", f"{module}:own", *SMALL[2:]]) == 2
    assert "name must be 1 to 60 visible characters" in capsys.readouterr().err
    assert not FILE.exists()
