"""Define the commands and their options, as dataclasses filled by the command line and by Python alike."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from bench.machine.errors import UserError, did_you_mean
from bench.records.formats import FILES
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, SPLITS, TASKS
from bench.workload.options import (
    RunOptions,
    bias_option,
    cell_option,
    counts,
    device_option,
    memory,
    no_wait_option,
    number,
    option,
    option_of,
    peers_option,
    percentage,
    positive,
    read_value,
    seconds,
    spelled,
    variant_option,
    waiting_option,
    whole,
)

PLURALS = {"variants": "variant", "cells": "cell", "devices": "device", "tasks": "task", "layouts": "layout"}
# by the status of a run or a training, or by what stopped it: the user or a signal
EXIT_CODES = {"complete": 0, "partial": 3, "interrupted": 130, "user": 130, "signal": 143}


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """Hold the options of ``verify``."""

    variant: tuple[str, ...] = variant_option()
    cell: tuple[str, ...] = option((), "rnn, gru, lstm or module:object (default: all)", metavar="NAME")
    bias: bool | None = option(None, "only with biases, or only without (default: both)", switch=True)
    device: tuple[str, ...] = device_option()
    json: bool = option(False, "print the rows as a JSON list", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """Hold the options of ``train``."""

    variant: tuple[str, ...] = variant_option("(default: numpy-inplace and torch-layer)")
    layout: str = option("positional", choices=LAYOUTS)
    dtype: str = option("float32", choices=DTYPES)
    cell: str | None = cell_option()
    bias: bool | None = bias_option()
    activation: str | None = option(None, "(default: that of the cell, of rnn tanh)", choices=ACTIVATIONS)
    epochs: int = option(20000, "training steps (default: 20000)", positive, "N")
    lr: float = option(0.1, "learning rate (default: 0.1)", number, "RATE")
    delta: float = option(0.025, "cutoff of the Huber loss (default: 0.025)", number, "SIZE")
    hidden: int = option(32, "hidden units (default: 32)", positive, "H", once=True)
    batch: int | None = option(None, "training windows of the sine (default: 128)", positive, "B", once=True)
    window: int = option(6, "values that go in (default: 6)", positive, "T", once=True, also="seq_len")
    horizon: int = option(8, "values to predict (default: 8)", positive, "O", once=True, also="outputs")
    device: str = option("cpu", "of the torch variants: cpu, cuda:0, mps (default: cpu)", metavar="ID")
    seed: int = option(0, "seed of the split and of the start", whole, "N")
    series: str | None = option(None, "train on a series of your own, standardised", metavar="FILE.csv")
    column: str | None = option(None, "its column (default: the only one that holds numbers)", metavar="NAME")
    decimal: str = option(".", "its decimal sign (default: .)", choices=(".", ","), metavar="SIGN")
    encoding: str = option("utf-8", "of the file, as cp1252 (default: utf-8)", metavar="NAME")
    missing: str = option(
        "error",
        "about a missing value: error, drop (leave its row out; the step of time there is longer) or "
        "interpolate (take the straight line between its neighbours) (default: error)",
        choices=("error", "drop", "interpolate"),
        metavar="WHAT",
    )
    split: str | None = option(
        None, "test windows (default: tail for a series, random for the sine)", choices=SPLITS
    )
    target: float | None = option(None, "time to this loss (default: one that all reach)", number, "LOSS")
    save: str | None = option(
        None, "write the parameters there; with several variants, one file each", metavar="FILE.npz"
    )
    load: str | None = option(None, "start from such parameters", metavar="FILE.npz")
    every: int = option(100, "epochs between reports (default: 100)", positive, "N")
    out: str | None = option(None, "folder of the results (default: results/train-<time>)", metavar="DIR")
    wait_quiet: float | None = waiting_option()
    no_wait: bool = no_wait_option()
    json: bool = option(False, "print the result as a JSON object", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """Hold the options of ``report``."""

    files: tuple[str, ...] = option(
        (),
        "folders of runs, trainings and streams, folders of such folders at any depth, journals, JSON files",
        metavar="FILE",
        positional=True,
    )
    latest: bool = option(False, "of what was started last, below the folders given (default: results)")
    out: str | None = option(
        None,
        "folder of the report (default: beside the file; of a folder of results, its folder report)",
        metavar="DIR",
    )
    any_machine: bool = option(False, "show named results of different machines beside each other")
    json: bool = option(False, "print all results as a JSON object", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdviseOptions:
    """Hold the options of ``advise``: a size, devices, and a time budget."""

    hidden: int = option(32, "hidden units (default: 32)", positive, "H", once=True)
    batch: int = option(128, "samples in a batch (default: 128)", positive, "B", once=True)
    seq_len: int = option(6, "time steps (default: 6)", positive, "T", once=True)
    features: int = option(1, "features of a time step (default: 1)", positive, "I", once=True)
    outputs: int = option(8, "outputs (default: 8)", positive, "O", once=True)
    threads: int = option(1, "threads on the CPU (default: 1)", positive, "N", once=True)
    task: str = option(TASKS[0], f"(default: {TASKS[0]})", choices=TASKS)
    dtype: str = option("float32", "(default: float32)", choices=DTYPES)
    cell: str | None = cell_option("rnn, gru or lstm (default: rnn)")
    bias: bool | None = bias_option()
    peers: bool = peers_option()
    device: tuple[str, ...] = device_option()
    budget: float = option(
        30.0, "all that it may take, waiting aside: 30, 30s or 2m (default: 30s)", seconds, "TIME"
    )
    wait_quiet: float | None = waiting_option()
    no_wait: bool = no_wait_option()
    seed: int | None = option(None, "seed of the order and of the data (default: a new one)", whole, "N")
    json: bool = option(False, "print everything as a JSON object", in_python=False)
    out: str | None = option(None, "folder of the journal (default: results/advise-<time>)", metavar="DIR")


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamOptions:
    """Hold the options of ``stream``: a size, a rate, and how much is measured."""

    cell: str | None = cell_option()
    bias: bool | None = bias_option()
    hidden: int = option(32, "hidden units (default: 32)", positive, "H", once=True)
    batch: int = option(1, "streams that one call serves (default: 1)", positive, "B", once=True)
    features: int = option(1, "features of a sample (default: 1)", positive, "I", once=True)
    outputs: int = option(8, "outputs (default: 8)", positive, "O", once=True)
    dtype: str = option("float32", "(default: float32)", choices=DTYPES)
    variant: tuple[str, ...] = variant_option(
        "a name of `rnnbench variants`, or module:object (default: as written and fastest, of both libraries)"
    )
    rate: float | None = option(None, "samples a second (default: back to back)", number, "HZ")
    pace: str | None = option(
        None, "wait for a sample as a server does, sleep, or as audio does, spin (default: sleep)",
        choices=("sleep", "spin"),
    )  # fmt: skip
    collector: bool | None = option(
        None, "collect garbage meanwhile, as in production, or do not (default: do)", switch=True
    )
    streams: tuple[str, ...] = option(
        (), "serve so many streams at once, each with a state of its own, as 1,4,16,64", counts, "N,N,..."
    )
    workers: int | None = option(
        None, "that serve them (default: the usable processors; with no --rate also fewer)", positive, "M"
    )
    share: str | None = option(
        None, "what a worker is (default: processes)", choices=("processes", "threads")
    )
    device: str = option("cpu", "of variants that can: cpu, cuda:0, mps (default: cpu)", metavar="ID")
    threads: int = option(1, "threads on the CPU (default: 1)", positive, "N", once=True)
    peers: bool = peers_option()
    blocks: int | None = option(
        None, "blocks of fresh processes (default: what verdicts need)", positive, "N"
    )
    calls: int | None = option(
        None, "timed calls of an arm in a block (default: by --seconds)", positive, "N"
    )
    seconds: float | None = option(
        None,
        "time of an arm's calls in a block, back to back of at most 20000 (default: 5s; of --streams 2s, of "
        "which a level takes a tenth)",
        seconds,
        "TIME",
    )
    quick: bool = option(False, "3 blocks, of 2s each (of --streams 1s): times, but no verdicts")
    seed: int | None = option(None, "seed of the order and of the data (default: a new one)", whole, "N")
    wait_quiet: float | None = waiting_option()
    no_wait: bool = no_wait_option()
    json: bool = option(False, "print everything as a JSON object", in_python=False)
    out: str | None = option(None, "folder of the results (default: results/stream-<time>)", metavar="DIR")


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantsOptions:
    """Hold the options of ``variants``."""

    variant: tuple[str, ...] = variant_option("show module:object as well")
    json: bool = option(False, "print the variants as a JSON list")


@dataclass(frozen=True, kw_only=True, slots=True)
class DevicesOptions:
    """Hold the options of ``devices``."""

    json: bool = option(False, "print everything as a JSON object")


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """Hold the options of ``check``."""

    device: tuple[str, ...] = device_option()
    json: bool = option(False, "print the findings as a JSON list", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareOptions:
    """Hold the options of ``compare``: two results, and how to compare them."""

    old: str | None = option(
        None,
        "folder or journal of a run, or a JSON file (.json.gz as well); alone: one of the two, and the other "
        "one is found, or a folder of results to take the last two of one plan from (default: results)",
        metavar="OLD",
        positional=True,
    )
    new: str | None = option(None, "the same kind of thing, measured later", metavar="NEW", positional=True)
    absolute: bool = option(False, "compare times in place of ratios, with the drift in them")
    fail_slower: float | None = option(
        None,
        "exit with 1 if it is proved that something takes more than P %% longer",
        percentage,
        "P%",
    )
    any_machine: bool = option(False, "compare results of different machines")
    any_environment: bool = option(
        False, "give verdicts though something else changed than versions: BLAS kernel, governor, threads"
    )
    summary: str | None = option(
        None,
        "in a step of GitHub Actions, also write its summary (Markdown) and annotations",
        choices=("github",),
        in_python=False,
    )
    json: bool = option(False, "print everything as a JSON object", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """Hold the options of ``export``: a run, a tool, and a file."""

    run: str = option(MISSING, "folder or journal of a run", metavar="RUN", positional=True)
    to: str = option(MISSING, "whose format", choices=tuple(FILES))
    out: str | None = option(None, "(default: in the run's folder)", metavar="FILE")


@dataclass(frozen=True, kw_only=True, slots=True)
class GradeOptions:
    """Hold the options of ``grade``: a student's file, the assignment, the output and the bounds."""

    submission: str = option(MISSING, "a student's file", metavar="SUBMISSION.py", positional=True)
    assignment: str = option(MISSING, "the cell", choices=("rnn", "gru", "lstm"), once=True)
    json: bool = option(False, "print everything as a JSON object")
    gradescope: str | None = option(None, "write the results for Gradescope", metavar="results.json")
    time: float = option(60.0, "most that all calls may take, as 60s or 2m (default: 60s)", seconds, "TIME")
    memory: int = option(2**30, "most that it may allocate, as 512MiB (default: 1GiB)", memory, "SIZE")


@dataclass(frozen=True, slots=True)
class Verb:
    """Describe a command: its options, the function that runs it and returns the exit code, and its help."""

    options: type
    target: str  # module:function
    help: str
    description: str | None = None


VERBS = {
    "run": Verb(
        RunOptions,
        "bench.api.run:main",
        "prove, time, keep a journal, write the report",
        "Prove every variant on the exact case, time it in fresh processes in random order, write a journal "
        "and a report. Without options: the tutorial's training step and its neighbours, about two minutes.",
    ),
    "verify": Verb(
        VerifyOptions,
        "bench.api.verify:main",
        "check every variant's results and gradients",
        "Check forward, loss, gradients and update of every variant against the reference. A page "
        "that it names, docs/..., is in rnnbench's sources, or in share/doc/rnnbench of its environment.",
    ),
    "train": Verb(
        TrainOptions,
        "bench.api.train:main",
        "train both libraries from the same start, with pictures",
        "The tutorial's own job: train variants from the same start, one after the other, and draw losses, "
        "predictions and an animation. Exit code 3 where one diverged or crashed.",
    ),
    "report": Verb(
        ReportOptions,
        "bench.api.run:report_main",
        "write the report of saved results",
        "Write report.html, report.md, values.csv and plots from saved results. Exit code 3 where something "
        "below a folder could not be read, or a result is not complete.",
    ),
    "advise": Verb(
        AdviseOptions,
        "bench.api.advise:main",
        "measure one size now, and say in two sentences what to use",
        "Measure one size now, on random data, and say in two sentences which library to use there and why. "
        "Exit code 3 where no verdict could be reached.",
    ),
    "stream": Verb(
        StreamOptions,
        "bench.api.stream:main",
        "time one sample at a time: percentiles, and the share that is late",
        "Feed samples one by one, as they come in audio, control or markets, back to back or at a rate, and "
        "time every call: median, p99, p99.9, and the share that is late, beside a control that computes "
        "nothing.",
    ),
    "compare": Verb(
        CompareOptions,
        "bench.api.compare:main",
        "tell what takes longer in a new result than in an old one",
        "What takes longer in NEW than in OLD: two runs, two files of pyperf, or two of pytest-benchmark; "
        "without both, the last two runs in results that time the same arms on the same cases. Of "
        "runs, each entry's ratio to its baseline is compared, since the machine drifts in between. Exit "
        "code 1 for a regression that --fail-slower looks for, 3 where nothing compares or, with "
        "--fail-slower, where something has no answer.",
    ),
    "export": Verb(
        ExportOptions,
        "bench.api.export:main",
        "write a run for pyperf, pytest-benchmark or a spreadsheet",
        "Write the counted times of a run in the format of another tool.",
    ),
    "variants": Verb(VariantsOptions, "bench.api.listing:variants_main", "list what can be timed"),
    "devices": Verb(
        DevicesOptions,
        "bench.api.listing:devices_main",
        "list where it can be timed, and why not elsewhere",
    ),
    "check": Verb(
        CheckOptions,
        "bench.api.check:main",
        "tell whether this machine is fit for timing, and what mends it",
        "Look for what makes a comparison unfair or unstable on this machine, and tell what mends it. Exit "
        "code 1 if something is unfair as it stands; what a run mends by itself is only noted.",
    ),
    "grade": Verb(
        GradeOptions,
        "bench.api.grade:main",
        "give a student's gradient points, and name its mistakes",
        "Run a student's file in a process of its own, with bounds on time, memory, processes and output. "
        "Compare what its forward(params, x) and loss_and_grads(params, x, y) return with the reference: a "
        "point for each result at each T. The bounds stop accidents. It is no sandbox against malice: the "
        "file runs with your rights, so grade strangers' files in a container. Exit code 0 for full points, "
        "1 for fewer, 3 where nothing could be graded.",
    ),
}


def from_keywords(verb: str, wishes: Mapping[str, Any]) -> Any:
    """Return the options of a command from Python keywords.

    None counts as not given, and so does False, except for an option that also has a ``--no-``.

    Raises:
        UserError: a keyword is unknown, its value is invalid, or it has too many values.
    """
    options_class = VERBS[verb].options
    option_fields = {field.name: field for field in fields(options_class) if option_of(field).in_python}
    names = option_fields | {
        also: field for field in option_fields.values() if (also := option_of(field).also)
    }
    plurals = {plural: names[name] for plural, name in PLURALS.items() if name in names}
    chosen: dict[str, Any] = {}
    for name, wish in wishes.items():
        if (field := (names | plurals).get(name)) is None:
            suggestion = did_you_mean(name, [*names, *plurals])
            known_names = ", ".join(sorted(names))
            raise UserError(f"bench.{verb}() knows no wish {name!r}{suggestion}; there are: {known_names}")
        is_single = isinstance(wish, (str, Path)) or not isinstance(wish, Iterable)
        not_given = wish is None or (wish is False and not option_of(field).switch)
        values = [] if not_given else [wish] if is_single else list(wish)
        if len(values) > 1 and not isinstance(field.default, tuple):
            raise UserError(f"{spelled(PLURALS.get(name, name))} takes one value, not {len(values)}")
        try:
            parsed = [_read_keyword(field, value) for value in values]
        except UserError as error:
            raise UserError(f"argument {spelled(name)}: {error}") from error
        if isinstance(field.default, tuple):
            chosen[field.name] = (*chosen.get(field.name, ()), *parsed)
        elif parsed:
            chosen[field.name] = parsed[0]
    return options_class(**chosen)


def _read_keyword(item: Field[Any], value: Any) -> Any:
    """Return one value, parsed like the command line's values."""
    if item.default is False or option_of(item).switch:
        if not isinstance(value, bool):
            raise UserError(f"is True or False, not {value!r}")
        return value
    if value is True:
        raise UserError("expected one argument")
    return read_value(option_of(item), str(value))
