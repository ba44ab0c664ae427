"""Change a backward pass in one place: each change is a mistake that somebody could make.

The source of a function ``loss_and_grads`` is parsed. A rule changes one statement, or a part of what it
computes, as text, and knows the kind of mistake that it makes; the changed function is compiled.
"""

import ast
import copy
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import Any, NamedTuple, cast

from bench.gradients.finding import Kind
from bench.machine.wording import listing

# derivatives by their argument: 1 - n * n, r * (1 - r), act_prime(h)
DERIVATIVES = r"1 - (\w+) \* \1", r"(\w+) \* \(1 - \1\)", r"act_prime\((.+)\)"
FORMS = ("1 - {0} * {0}", "{0} * (1 - {0})", "1 - {0}", "{0}", "1 + {0} * {0}", "{0} > 0")
ARGUMENTS = ("{}", "np.tanh({})", "sigmoid({})")
INVERSES = ("np.arctanh({})", "np.log({0} / (1 - {0}))")  # what stands in tanh or sigmoid, called a
FACTORS = (  # in numbers, of a gradient that is a sum over the steps and the batch, in words
    ("2 * ({})", "twice as large"),
    ("({}) / 2", "half as large"),
    ("({}) / len(x)", "a mean over the steps, not a sum"),
    ("({}) * len(x)", "T times as large"),
    ("({}) / len(y)", "a mean over the batch, not a sum"),
    ("({}) * len(y)", "B times as large"),
    ("({}) / y.shape[1]", "1/O times as large"),
    ("({}) * y.shape[1]", "O times as large"),
    ("({}) * y.size", "B O times as large"),
)
BOUNDS = tuple(float(f"{digit}e{power}") for power in range(-4, 2) for digit in (1, 2, 5))
LONGEST = 8  # steps of a walk back that ends too early
HANDED_BACK = ("dh", "dc")
ERRORS = ("e", "e_clipped")  # their factors are those of dy_hat
NOT_BACK = ("loss", "y_hat", "biased")  # begin lines that are no part of the gradient
NO_ARRAYS = {"t", "_", "hs", "cache", "grads", "loss", "biases", "biased", "name", "p", "act_prime"}
SHIFTED = (  # an index -> another, which may be that of another step
    ("[t]", "[t - 1]"), ("[t]", "[max(t - 1, 0)]"), ("[t]", "[min(t + 1, len(x) - 1)]"),
    ("[t - 1]", "[t]"), ("[t - 1]", "[t - 2]"), ("[t - 1]", "[max(t - 2, 0)]"),
    ("[-1]", "[-2]"), ("[-1]", "[0]"),
)  # fmt: skip
BEFORE = {"h_before": "cache[].h", "c_before": "c"}  # the same quantity, a step later
SPECIAL = {  # a part -> what papers and programs have in its place, and the mistake
    "w_n": (Kind.MISTAKEN, "h_before @ np.split(W, 3)[2].T", "w_n is taken without bW in"),
    "dw.T @ h_before": (Kind.MISTAKEN, "du.T @ (r * h_before)", "the reset gate is before the product in"),
    "da_n * w_n": (
        Kind.MISTAKEN,
        "da_n @ np.split(W, 3)[2] * h_before",
        "the reset gate is before the product in",
    ),
    "dy_hat": (Kind.CLIPPED, "e / e.size", "the error is not cut off at delta in"),
    "grads['bU']": (Kind.NOT_SUMMED, "da.sum(axis=0)", "the first step stands for the sum in"),
    "db.copy()": (Kind.NOT_SUMMED, "da.sum(axis=0)", "the first step stands for the sum in"),
}

Change = tuple[Kind, str, str]  # kind, the changed text, the mistake in words


@dataclass(frozen=True, slots=True)
class Edit:
    """Hold a changed function, and the mistake that it makes."""

    rank: int  # small for usual mistakes
    kind: Kind
    target: str  # what the changed line computes; empty if it is a loop, or several lines
    line: str  # as it should be; empty if several lines are changed
    mistake: str  # in words, as of ``Finding``
    function: Callable[..., tuple[Any, dict[str, Any]]]
    section: int = 0  # of docs/derivation.md; 0 for that of the cell


class Facts(NamedTuple):
    """Hold what the rules need to know of the whole backward pass."""

    arrays: list[str]  # what it computes with, as texts: dh, x[t], cache[t].h
    gates: int  # how many matrices U and W hold, one below the other
    cached: list[str]  # quantities of a step that the forward pass kept, as gates
    last: str  # dL/dh_T
    reduced: dict[str, list[Change]]  # quantity -> its definitions without a part; the part in words


class Part(NamedTuple):
    """Hold a part of what a statement computes."""

    node: ast.AST
    text: str
    target: str  # what the statement computes: "da_r", "dU"
    whole: bool  # whether the part is all that it computes
    inside: bool  # whether it is in a derivative
    steps: str  # the range of the loop that it stands in; empty outside
    facts: Facts


@functools.cache
def edits_of(function: Callable[..., Any]) -> tuple[Edit, ...]:
    """Return all changes of a function ``loss_and_grads``, the usual mistakes first."""
    tree = ast.parse(inspect.getsource(function))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    facts, edits = _facts(definition), list[Edit]()

    def add(
        rank: int, change: Change, block: list[ast.stmt], place: int, target: str = "", line: str = ""
    ) -> None:
        kind, text, mistake = change

        @functools.cache
        def changed() -> Callable[..., Any]:  # compiled when it is first called: most never are
            names: dict[str, Any] = {}
            statement, block[place] = block[place], ast.parse(text).body[0]
            try:
                exec(compile(tree, function.__module__, "exec"), function.__globals__, names)
            finally:
                block[place] = statement
            return cast(Callable[..., Any], names[function.__name__])

        edits.append(
            Edit(rank, kind, target, line, mistake, lambda *inputs, **more: changed()(*inputs, **more))
        )

    for block, steps in _blocks(definition.body):
        for place, statement in enumerate(block):
            line = ast.unparse(statement).partition("\n")[0]
            target = _target(statement) if isinstance(statement, ast.Assign | ast.AugAssign) else ""
            for rank, change in _changes(statement, facts, steps):
                add(rank, change, block, place, target, line)
            if steps and isinstance(statement, ast.Assign) and target in HANDED_BACK:
                kind = Kind.TERM if " + " in line else Kind.FACTOR
                for other in (n for n in range(len(block)) if n != place):
                    block.insert(other, block.pop(place))
                    change = kind, ast.unparse(tree), f"{line} stands in another place of the loop"
                    block.insert(place, block.pop(other))
                    add(len(RULES), change, tree.body, 0, target, line)
    for change in _everywhere(ast.unparse(tree)):
        add(len(RULES), change, tree.body, 0)
    return tuple(sorted(edits, key=lambda edit: edit.rank))


def _blocks(body: list[ast.stmt], steps: str = "") -> Iterator[tuple[list[ast.stmt], str]]:
    """Yield the lists of statements of a function, each with the ``range`` of the loop that it stands in."""
    yield body, steps
    for statement in body:
        if isinstance(statement, ast.For | ast.If):
            inner = ast.unparse(statement.iter) if isinstance(statement, ast.For) else steps
            yield from _blocks(statement.body, inner)


def _changes(statement: ast.stmt, facts: Facts, steps: str) -> Iterator[tuple[int, Change]]:
    """Yield the changes of a statement, with their ranks."""
    if isinstance(statement, ast.For):
        # one that ends after a step comes second: dh is not handed back
        yield from ((int(change[0] == Kind.TRUNCATED), change) for change in _walks(statement))
    if not isinstance(statement, ast.Assign | ast.AugAssign):
        return
    line, value, target = ast.unparse(statement), statement.value, _target(statement)
    if line.startswith(NOT_BACK) or isinstance(value, ast.DictComp):
        return
    if steps and target not in HANDED_BACK:
        yield from ((1, change) for change in _once(line, target, steps))
    for part in _parts(value, target, steps, facts):
        for rank, rule in enumerate(RULES):
            for kind, new, mistake in rule(part):
                text = line.removesuffix(ast.unparse(value)) + _with(value, part.node, f"({new})")
                kind = Kind.DERIVATIVE if part.inside else kind
                yield rank, (kind, text, mistake)
                if rule is _one_sample and " += " in text:
                    overwritten = text.replace(" += ", " = "), f"{mistake}, in the first step alone"
                    yield len(RULES), (kind, *overwritten)


def _parts(value: ast.expr, target: str, steps: str, facts: Facts) -> Iterator[Part]:
    """Yield all that a statement computes, and its parts; of a dict of gradients, each as its own target."""
    if isinstance(value, ast.IfExp) and isinstance(value.body, ast.Dict):
        for key, part in zip(value.body.keys, value.body.values, strict=True):
            name = ast.unparse(key or part).replace("'", "")
            yield from _parts(part, f"d{name}", steps, facts)
        return
    inside: set[int] = set()
    for node in ast.walk(value):
        text = ast.unparse(node)
        if _derivative_of(text):
            inside.update(map(id, ast.walk(node)))
        yield Part(node, text, target, node is value, id(node) in inside, steps, facts)


def _walks(loop: ast.For) -> Iterator[Change]:
    """Yield the changes of which steps the walk back takes."""
    head, _, body = ast.unparse(loop).partition("\n")
    steps = ast.unparse(loop.iter)
    walks = [
        (Kind.STEP_LEFT_OUT, "[:-1]", "the first step (t = 1) is left out"),
        (Kind.STEP_LEFT_OUT, "[1:]", "the last step (t = T) is left out"),
        (Kind.OFF_BY_ONE, "[::-1]", "the steps are walked forwards, not back"),
    ]
    for n in range(1, LONGEST):
        after = "one step" if n == 1 else f"{n} steps"
        walks.append((Kind.TRUNCATED, f"[:{n}]", f"the walk back ends after {after}"))
    for kind, taken, mistake in walks:
        yield kind, f"{head.replace(steps, steps + taken)}\n{body}", mistake


def _once(line: str, target: str, steps: str) -> Iterator[Change]:
    """Yield a line of the loop that counts in one step alone, or not in one."""
    if " += " in line:
        yield Kind.NOT_SUMMED, line.replace(" += ", " = "), f"{target} is that of the first step, not the sum"
    for index, step in ((0, "last"), (-1, "first")):
        only, left_out = (f"if t {sign} {steps}[{index}]:\n    {line}" for sign in ("==", "!="))
        yield Kind.NOT_SUMMED, only, f"{target} is computed in the {step} step alone"
        yield Kind.STEP_LEFT_OUT, left_out, f"{target} is not computed in the {step} step"


def _not_handed_back(part: Part) -> Iterator[Change]:
    """Yield nothing for the step before."""
    if part.whole and part.steps and part.target in HANDED_BACK:
        yield Kind.NOT_HANDED_BACK, f"0 * ({part.text})", f"{part.target}_next is not handed back"


def _handed_back(part: Part) -> Iterator[Change]:
    """Yield what is already there, or too much, for the step before."""
    text, target = part.text, part.target
    if part.whole and part.steps and target in HANDED_BACK:
        yield Kind.MISTAKEN, target, f"{target} stays what it was, where {text} is to be handed back"
        yield Kind.TERM, f"({text}) + {target}", f"{target} is handed back whole as well"
        if target == "dh":
            yield (
                Kind.TERM,
                f"({text}) + {part.facts.last}",
                f"{part.facts.last} is added to dh in every step",
            )


def _left_out(part: Part) -> Iterator[Change]:
    """Yield a sum or a product without one of its parts."""
    for kind, kept, lost in _without_a_part(part):
        yield kind, kept, f"{lost} is left out of {part.target}"
    if (
        part.text.endswith(" @ W")
        and isinstance(part.node, ast.BinOp)
        and isinstance(part.node.op, ast.MatMult)
    ):
        left = ast.unparse(part.node.left)
        mistake = f"{left} is multiplied by W's diagonal, not by W, in {part.target}"
        yield Kind.FACTOR, f"{left} * np.diag(W)", mistake


def _without_a_part(part: Part) -> Iterator[Change]:
    """Yield what is left of a sum or a product without one of its parts, and that part in words."""
    node = part.node
    if not isinstance(node, ast.BinOp):
        return
    left, right = ast.unparse(node.left), ast.unparse(node.right)
    if isinstance(node.op, ast.Div):
        yield Kind.CONSTANT, left, f"the division by {right}"
    if isinstance(node.op, ast.MatMult) and right == "W":
        yield Kind.FACTOR, left, "the product with W"
    for kept, lost in ((left, right), (right, left)):
        if isinstance(node.op, ast.Mult):
            kind, what = (Kind.DERIVATIVE, "derivative") if _derivative_of(lost) else (Kind.FACTOR, "factor")
            yield kind, kept, f"the {what} {lost}"
        elif isinstance(node.op, ast.Add):
            kind = Kind.NOT_HANDED_BACK if part.target in HANDED_BACK else Kind.TERM
            yield kind, kept, f"the part {lost}"


def _one_sample(part: Part) -> Iterator[Change]:
    """Yield what a sum over the batch is of one sample alone."""
    for index, sample, shift in (("[:1]", "first", -1), ("[-1:]", "last", 1)):
        mistake = f"{part.target} is that of the {sample} sample alone"
        if part.text.endswith(".sum(axis=0)"):
            yield Kind.NOT_SUMMED, part.text.replace(".sum(", f"{index}.sum("), mistake
        elif factors := re.fullmatch(r"(\S+)\.T @ (\S+|\w+\[.+\](\.h)?)", part.text):
            yield Kind.NOT_SUMMED, f"{factors[1]}{index}.T @ ({factors[2]}){index}", mistake
            shifted = f"{factors[1]}.T @ np.roll({factors[2]}, {shift}, axis=0)"
            yield Kind.MISTAKEN, shifted, f"the samples of one factor are shifted by one in {part.target}"


def _mean(part: Part) -> Iterator[Change]:
    """Yield a mean over the batch, or one number for all units, in place of a sum."""
    if part.text.endswith(".sum(axis=0)"):
        before = part.text.removesuffix(".sum(axis=0)")
        yield Kind.CONSTANT, f"{before}.mean(axis=0)", f"{part.target} is a mean over the batch, not a sum"
        for one in ("sum", "mean"):
            yield Kind.NOT_SUMMED, f"{before}.{one}()", f"{part.target} is the {one} over the units, too"


def _sign(part: Part) -> Iterator[Change]:
    """Yield a sum or a difference with another sign, then all of it."""
    for node in ast.walk(part.node) if part.whole else ():
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Add):
            left, right = ast.unparse(node.left), ast.unparse(node.right)
            for other in (f"{right} - ({left})", f"{left} + {right}", f"{left} - ({right})"):
                mistake = f"{_plain(other)} stands for {ast.unparse(node)} in {part.target}"
                if left != "1":
                    yield Kind.SIGN, _with(part.node, node, f"({other})"), mistake
    if part.whole and part.target not in ERRORS:
        yield Kind.SIGN, f"-({part.text})", f"{part.target} has the wrong sign"


def _zero(part: Part) -> Iterator[Change]:
    """Yield a gradient that is never computed."""
    if part.whole and part.target not in ERRORS:
        yield Kind.ZERO, f"0 * ({part.text})", f"{part.target} is zero"


def _other_step(part: Part) -> Iterator[Change]:
    """Yield the same quantity of another step."""
    node, text, target = part.node, part.text, part.target
    if isinstance(node, ast.IfExp):
        before, first = ast.unparse(node.body), ast.unparse(node.orelse)
        now = before.replace("[t - 1]", "[t]")
        yield Kind.OFF_BY_ONE, before, f"{target} of the first step is that after the last"
        yield Kind.OFF_BY_ONE, first, f"{target} is that before the first step in every step"
        yield Kind.OFF_BY_ONE, now, f"{now} stands for {before}, in the first step too"
        late = text.replace(" if t else", " if t > 1 else")
        yield Kind.OFF_BY_ONE, late, f"{target} of the second step is that before the first"
    if text not in part.facts.arrays:
        return
    indexed = f"cache[t].{text}" if text in part.facts.cached else text
    shifted = [indexed.replace(old, new) for old, new in SHIFTED if old in indexed]
    if text.startswith("x["):
        now = text[2:-1]
        shifted += [f"x[{now} + 1] if {now} + 1 < len(x) else 0 * x[{now}]"]
        shifted += [f"x[{now} - 1] if {now} else 0 * x[{now}]"]
    if text in BEFORE:
        name = text[0]
        shifted += [f"cache[max(t - 2, 0)].{name}", f"cache[t - 2].{name} if t > 1 else 0 * {text}"]
    shifted += [other for other in part.facts.arrays if _timeless(other) == _timeless(text)]
    for other in dict.fromkeys(shifted):
        if other != text:
            yield Kind.OFF_BY_ONE, other, f"{other} stands for {text} in {target}"


def _constant(part: Part) -> Iterator[Change]:
    """Yield all of it with a constant factor."""
    if part.whole and part.target not in ERRORS:
        for text, words in FACTORS:
            yield Kind.CONSTANT, text.format(part.text), f"{part.target} is {words}"


def _transposed(part: Part) -> Iterator[Change]:
    """Yield a product with one of its matrices transposed, or the factors exchanged."""
    node = part.node
    if part.whole:
        yield Kind.TRANSPOSED, f"({part.text}).T", f"{part.target} is transposed"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        left, right = ast.unparse(node.left), ast.unparse(node.right)
        for text in (f"({left}) @ ({right}).T", f"({left}).T @ ({right})", f"({right}) @ ({left})"):
            yield Kind.TRANSPOSED, text, f"{_plain(text)} stands for {part.text} in {part.target}"


def _gates(part: Part) -> Iterator[Change]:
    """Yield the gates in another order, or some of them left out of what is handed back."""
    node, text, target, gates = part.node, part.text, part.target, part.facts.gates
    if isinstance(node, ast.Call) and isinstance(rows_of := node.args[0] if node.args else None, ast.Tuple):
        yield from _rows([ast.unparse(row) for row in rows_of.elts], part)
    elif part.whole and target in ("dU", "dW", "dbU", "dbW"):
        for order in _orders(gates):
            moved = f"np.concatenate([np.split({text}, {gates})[g] for g in {order}])"
            yield Kind.ORDER, moved, f"the gates of {target} stand in another order: {_places(order)}"
    elif text.endswith(" @ W"):
        yield from _matrices(part)


def _rows(names: Sequence[str], part: Part) -> Iterator[Change]:
    """Yield the rows of the gates in another order, or with a factor too many."""
    target, arrays = part.target, part.facts.arrays
    for place, array in product(range(len(names)), arrays):
        others = [f"{name} * {array}" if n == place else name for n, name in enumerate(names)]
        mistake = f"{target} has the factor {array} too many at {names[place]}"
        yield Kind.FACTOR, _joined(others), mistake
    for array in arrays:
        every = _joined([f"({name.partition(' * ')[0]}) * {array}" for name in names])
        yield Kind.FACTOR, every, f"every row of {target} has the factor {array}"
    mixed = f"np.stack(({', '.join(names)}), axis=2).reshape(len(y), -1)"
    yield Kind.ORDER, mixed, f"the rows of the gates alternate in {target}"
    for order in _orders(len(names)):
        rows = [names[gate] for gate in order]
        yield Kind.ORDER, _joined(rows), f"the rows of {target} stand as {', '.join(rows)}"


def _matrices(part: Part) -> Iterator[Change]:
    """Yield a product with W, which holds a matrix for each gate, with other matrices or without some.

    What is handed back straight, as ``dh * z`` in ``dh * z + dw @ W``, stays before the product.
    """
    target, gates = part.target, part.facts.gates
    straight, left = (" " + part.text.removesuffix(" @ W")).rsplit(" ", 1)
    for row, unit in (("-1", "last"), ("0", "first")):
        alone = f"{left}[:, [{row}]] * W[{row}]"
        yield Kind.NOT_SUMMED, alone, f"the share of the {unit} unit stands for the sum in {target}"
    if gates == 1:
        return

    def with_straight(product_text: str) -> str:
        return f"{straight} {product_text}".strip()

    split = f"np.split({left}, {gates}, axis=1)"
    turned = with_straight(f"{left} @ np.concatenate([w.T for w in np.split(W, {gates})])")
    yield Kind.TRANSPOSED, turned, f"the matrices of W are transposed, each for itself, in {target}"
    for lost in (some for n in range(1, gates) for some in combinations(range(gates), n)):
        rest = f"np.concatenate([p * (g not in {lost}) for g, p in enumerate({split})], axis=1) @ W"
        mistake = f"what goes through gate {_places(lost)} of {gates} is left out of {target}"
        yield Kind.NOT_HANDED_BACK, with_straight(rest), mistake
        if straight:
            yield Kind.NOT_HANDED_BACK, rest, f"{mistake}, and{straight.removesuffix(' +')} too"
    for right, wrong in permutations(range(gates), 2):
        taken = [wrong if gate == right else gate for gate in range(gates)]
        other = with_straight(f"{left} @ np.concatenate([np.split(W, {gates})[g] for g in {taken}])")
        mistake = f"the matrix of gate {wrong + 1} stands for that of gate {right + 1} in {target}"
        yield Kind.MISTAKEN, other, mistake
    for order in _orders(gates):
        moved = with_straight(f"np.concatenate([{split}[g] for g in {order}], axis=1) @ W")
        yield Kind.ORDER, moved, f"W meets the gates in another order in {target}: {_places(order)}"


def _derivative(part: Part) -> Iterator[Change]:
    """Yield another derivative in place of one, or the same of another argument."""
    argument = _derivative_of(part.text)
    if not argument:
        return
    own = next((form for form in FORMS if form.format(argument) == part.text), "act_prime({0})")
    others = [array for array in part.facts.arrays if array != argument]
    arguments = [given.format(argument) for given in ARGUMENTS]
    news = [form.format(given) for given in arguments for form in (own, *FORMS)]
    news += [own.format(other) for other in others]
    news += [form.format(inverse.format(argument)) for inverse in INVERSES for form in (own, *FORMS)]
    for new in dict.fromkeys([*news, f"1 / ({part.text})", f"({part.text}) ** 2"]):
        if new != part.text:
            shown = _readable(new, argument)
            yield Kind.DERIVATIVE, new, f"{shown} stands for the derivative {part.text} in {part.target}"


def _mistaken(part: Part) -> Iterator[Change]:
    """Yield another quantity in place of one."""
    node, text, target, facts = part.node, part.text, part.target, part.facts
    if special := SPECIAL.get(text):
        kind, new, mistake = special
        yield kind, new, f"{mistake} {target}"
    news = []
    if isinstance(node, ast.Call) and len(node.args) == 1:
        news.append(ast.unparse(node.args[0]))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Mult):
        left, right = ast.unparse(node.left), ast.unparse(node.right)
        if isinstance(node.op, ast.Mult):
            news.append(f"{left} / ({right})")
        for kept in (left, right) if isinstance(node.op, ast.Sub) else ():
            kind = Kind.MISTAKEN if left == "1" else Kind.TERM
            yield kind, kept, f"{kept} stands for {text} in {target}"
    if text in facts.arrays:
        for kind, new, lost in facts.reduced.get(text, ()):
            kind = Kind.TERM if kind == Kind.NOT_HANDED_BACK else kind  # it is, but not here
            yield kind, new, f"{lost} is left out of the {text} in {target}"
        yield Kind.SIGN, f"-{text}", f"-{text} stands for {text} in {target}"
        yield Kind.TERM, f"0 * {text}", f"{text} is left out of {target}"
        for factor in facts.arrays if target in ("dU", "dW", "dV") else ():
            yield Kind.FACTOR, f"({text}) * ({factor})", f"{target} has the factor {factor} too many"
        for new in (form.format(text) for form in FORMS[:2]):
            yield Kind.DERIVATIVE, new, f"{new} stands for {text} in {target}"
        if text.endswith(".h") and "c" in facts.cached:
            news.append(text.replace(".h", ".c"))
        news += [other for other in facts.arrays if other != text]
        news += [f"1 - {text}", f"np.tanh({text})", f"sigmoid({text})", re.sub(r"\[t", "[::-1][t", text)]
    for new in news:
        if new != text:
            yield Kind.MISTAKEN, new, f"{_plain(new)} stands for {text} in {target}"


def _rounded(part: Part) -> Iterator[Change]:
    """Yield all of it in float32, or cut off at a bound."""
    node = part.node
    if part.text in part.facts.arrays:
        yield Kind.PRECISION, f"np.float32({part.text})", f"{part.text} is in float32 in {part.target}"
    if isinstance(node, ast.Call) and len(node.args) == 1:
        inner = f"{ast.unparse(node.func)}(np.float32({ast.unparse(node.args[0])}))"
        yield Kind.PRECISION, inner, f"{part.text} is computed in float32"
    if part.whole:
        yield Kind.PRECISION, f"np.float32({part.text})", f"{part.target} is computed in float32"
        for bound in BOUNDS:
            cut = f"np.clip({part.text}, -{bound}, {bound})"
            yield Kind.CLIPPED, cut, f"{part.target} is cut off at ±{bound:g}"


def _too_many(part: Part) -> Iterator[Change]:
    """Yield all of it with a factor too many."""
    for array in part.facts.arrays if part.whole else ():
        for factor in (array, FORMS[0].format(array), FORMS[1].format(array)):
            kind = Kind.FACTOR if factor == array else Kind.DERIVATIVE
            yield kind, f"({part.text}) * ({factor})", f"{part.target} has the factor {factor} too many"


# from the usual mistakes to the odd ones
RULES: tuple[Callable[[Part], Iterator[Change]], ...] = (
    _not_handed_back, _left_out, _one_sample, _mean, _sign, _zero, _handed_back, _other_step, _constant,
    _transposed, _gates, _derivative, _mistaken, _rounded, _too_many,
)  # fmt: skip


def _everywhere(source: str) -> Iterator[Change]:
    """Yield the same change of all lines that it fits."""
    head, start, back = source.partition("dy_hat = ")
    biases = "the gradients of the biases are"
    rules = [
        (Kind.NOT_SUMMED, r"\+= ", "= ", "the gradients are those of the first step, not the sums"),
        (Kind.CONSTANT, r"\.sum\(", ".mean(", f"{biases} means over the batch, not sums"),
        (Kind.NOT_SUMMED, r"\.sum\(axis=0\)", "[0]", f"{biases} those of one sample, not sums"),
        (Kind.OFF_BY_ONE, r"\bh_before\b(?!.*=)", "cache[t].h", "h of the step stands for that before"),
        (Kind.OFF_BY_ONE, r"\bc_before\b(?!.*=)", "c", "c of the step stands for that before"),
    ]
    for name, pattern, own in zip(("tanh", "sigmoid"), DERIVATIVES, FORMS, strict=False):
        rules.append((Kind.DERIVATIVE, pattern, "1", f"the derivative of every {name} is left out"))
        for form, given in product(dict.fromkeys((own, *FORMS)), (*ARGUMENTS, *INVERSES)):
            shown, new = (form.format(given.format(argument)) for argument in ("s", r"\1"))
            mistake = f"{_readable(shown, 's')} stands for the derivative of every {name} s"
            rules.append((Kind.DERIVATIVE, pattern, f"({new})", mistake))
    z = r"\bz\b(?!.*=)"
    rules.append((Kind.MISTAKEN, z, "(1 - z)", "z and 1 - z are exchanged"))
    for kind, pattern, new, mistake in rules:
        changed, times = re.subn(pattern, new, back)
        if times > 1:
            yield kind, head + start + changed, mistake
    exchanged = re.sub(z, "(1 - z)", back).replace("(h_before - n)", "(n - h_before)")
    if exchanged != back:
        yield Kind.MISTAKEN, head + start + exchanged, "z and 1 - z are exchanged"


def _facts(definition: ast.FunctionDef) -> Facts:
    """Return what the rules need to know of a backward pass."""
    operands, computed, gates, cached, last = list[ast.AST](), set[str](), 1, list[str](), ""
    reduced: dict[str, list[Change]] = {}
    for node in ast.walk(definition):
        if isinstance(node, ast.BinOp):
            operands += [node.left, node.right]
        elif isinstance(node, ast.Tuple):
            operands += node.elts
        elif isinstance(node, ast.IfExp):
            operands.append(node.body)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            computed.add(node.id)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "np.concatenate":
            gates = len(getattr(node.args[0], "elts", ()))
        elif isinstance(node, ast.Assign) and ast.unparse(node.value) == "cache[t]":
            cached = [name for name in _target(node).strip("()").split(", ") if name != "_"]
        elif isinstance(node, ast.Assign) and (target := _target(node)).startswith("d"):
            last = last or (ast.unparse(node.value) if target == "dh" else "")
            value = node.value
            for part in _parts(value, target, "", Facts([], 1, [], "", {})):
                for kind, new, lost in _without_a_part(part):
                    changed = _with(value, part.node, new)
                    if isinstance(value, ast.BinOp) and ast.unparse(value.left) == target:  # as it was before
                        before = f"({target} - ({ast.unparse(value.right)}))"
                        changed = re.sub(rf"\b{target}\b", before, changed)
                    reduced.setdefault(target, []).append((kind, changed, lost))
    texts = [ast.unparse(node).removesuffix(".T") for node in operands]
    texts += [text.replace("[t - 1]", "[t]") for text in texts]
    arrays = [text for text in texts if re.fullmatch(r"(\w+|(x|hs|cache)\[.+\])(\.[hc])?", text)]
    known = [text for text in dict.fromkeys(arrays) if "[" in text or text in computed - NO_ARRAYS]
    return Facts(known, gates, cached, last, reduced)


def _target(statement: ast.Assign | ast.AugAssign) -> str:
    """Return what a statement computes: "da_r"; "dU" for grads["U"]."""
    target = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
    return f"d{ast.literal_eval(target.slice)}" if isinstance(target, ast.Subscript) else ast.unparse(target)


def _derivative_of(text: str) -> str:
    """Return the argument of the derivative that a text is; empty if it is none."""
    matches = (re.fullmatch(pattern, text) for pattern in DERIVATIVES)
    return next((match[1] for match in matches if match), "")


def _timeless(text: str) -> str:
    """Return the text of a quantity without its time step."""
    return re.sub(r"\[[^\[\]]*\]", "[]", BEFORE.get(text, text))


def _orders(gates: int) -> list[tuple[int, ...]]:
    """Return all orders of so many gates but the right one."""
    return list(permutations(range(gates)))[1:]


def _joined(rows: Sequence[str]) -> str:
    """Return the rows of the gates in one array, as text."""
    return f"np.concatenate(({', '.join(rows)}), axis=1)"


def _places(gates: tuple[int, ...]) -> str:
    """Return the places of gates, counted from 1: "1, 3 and 2"."""
    return listing([str(gate + 1) for gate in gates])


def _plain(text: str) -> str:
    """Return an expression without needless brackets."""
    return ast.unparse(ast.parse(text))


def _readable(text: str, argument: str) -> str:
    """Return a text in which the argument of tanh or sigmoid is called a."""
    for inverse in INVERSES:
        text = text.replace(inverse.format(argument), "a")
    return text


def _with(tree: ast.AST, old: ast.AST, new: str) -> str:
    """Return an expression as text, with one of its nodes replaced."""
    return ast.unparse(_substituted(tree, old, ast.parse(new, mode="eval").body))


def _substituted(tree: Any, old: ast.AST, new: ast.AST) -> Any:
    """Return a copy of a tree in which ``new`` stands for ``old``; what lies beside the way is shared."""
    if tree is old:
        return new
    if isinstance(tree, list):
        return [_substituted(item, old, new) for item in tree]
    if not isinstance(tree, ast.AST):
        return tree
    copied = copy.copy(tree)
    for field, value in ast.iter_fields(tree):
        setattr(copied, field, _substituted(value, old, new))
    return copied
