"""Change a backward pass in one place: each change is a mistake that somebody could make.

The source of a function ``loss_and_grads`` is parsed; every rule below changes one statement, or one part of
it, and the changed function is compiled. A rule knows what kind of mistake it makes, and says it in words.
"""

import ast
import copy
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import Any, NamedTuple

from bench.gradients.finding import Kind
from bench.machine.wording import listing

# derivatives by their argument: 1 - n * n, r * (1 - r), act_prime(h)
DERIVATIVE = re.compile(r"1 - (\w+) \* \1|(\w+) \* \(1 - \2\)|act_prime\((.+)\)")
FORMS = ("1 - {0} * {0}", "{0} * (1 - {0})", "1 - {0}", "{0}", "1 + {0} * {0}", "{0} > 0")
ARGUMENTS = ("{}", "np.tanh({})", "sigmoid({})", "np.arctanh({})", "np.log({0} / (1 - {0}))")
BOUNDS = tuple(float(f"{digit}e{power}") for power in range(-4, 2) for digit in (1, 2, 5))
LONGEST = 8  # steps of a walk back that ends too early
HANDED_BACK = ("dh", "dc")
GROUP = r"\1"  # of a pattern
INDEX = re.compile(r"\[[^\[\]]*\]")
BEFORE = {"h_before": "cache[].h", "c_before": "c"}  # the same quantity, a step later
SHIFTED = (("[t]", "[t - 1]"), ("[t - 1]", "[t]"), ("[t - 1]", "[t - 2]"), ("[-1]", "[-2]"), ("[-1]", "[0]"))
NO_ARRAYS = {"t", "_", "hs", "cache", "grads", "loss", "biases", "biased", "name", "p", "act_prime"}
SPECIAL = {  # a part -> what papers and programs have in its place: kind, text, the mistake
    "w_n": (Kind.MISTAKEN, "h_before @ np.split(W, 3)[2].T", "w_n is taken without bW in {}"),
    "da_n * w_n": (
        Kind.MISTAKEN,
        "da_n @ np.split(W, 3)[2] * h_before",
        "{} is that of a reset gate before the product, W_n (r * h)",
    ),
}
ERRORS = ("e", "e_clipped")  # their factors are those of dy_hat
FORWARD = ("loss", "y_hat", "biased")  # what is no part of a gradient

Change = tuple[int, Kind, str, str]  # rank, kind, the changed text, the mistake in words


@dataclass(frozen=True, slots=True)
class Edit:
    """Hold a changed function, and the mistake that it makes."""

    rank: int  # from the usual mistakes to the odd ones
    kind: Kind
    line: str  # the line as it should be
    mistake: str  # in words, as of ``Finding``
    function: Callable[..., tuple[Any, dict[str, Any]]]
    section: int = 0  # of docs/derivation.md; 0 for that of the cell


class Function(NamedTuple):
    """Hold what the rules need to know of the function that they change."""

    atoms: list[str]  # the arrays that it computes with
    gates: int  # how many matrices U and W hold, one below the other
    last: str  # dL/dh_T, as text
    parts: dict[
        str, list[tuple[Kind, str, str]]
    ]  # what is left of a quantity without a part: kind, text, part


@functools.cache
def edits_of(function: Callable[..., Any]) -> tuple[Edit, ...]:
    """Return all changes of a function ``loss_and_grads``, the usual mistakes first."""
    tree = ast.parse(inspect.getsource(function))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    of, edits = _facts(definition), list[Edit]()

    def add(change: Change, line: str, changed: ast.Module) -> None:
        rank, kind, _, mistake = change
        names: dict[str, Any] = {}
        exec(compile(changed, function.__module__, "exec"), function.__globals__, names)
        edits.append(Edit(rank, kind, line, mistake, names[function.__name__]))

    for block, steps in _blocks(definition.body):
        for place, statement in enumerate(block):
            line = _line(statement)
            for change in _changes(statement, of, steps):
                block[place] = ast.parse(change[2]).body[0]
                add(change, line, tree)
            block[place] = statement
            if steps and isinstance(statement, ast.Assign) and _name(statement) in HANDED_BACK:
                for earlier in range(place):
                    before = block[earlier]
                    block.insert(earlier, block.pop(place))
                    add((7, Kind.FACTOR, "", f"{line} comes before {_line(before)}"), line, tree)
                    block.insert(place, block.pop(earlier))
    for change in _everywhere(ast.unparse(tree)):
        add(change, "", ast.parse(change[2]))
    return tuple(sorted(edits, key=lambda edit: edit.rank))


def _everywhere(source: str) -> Iterator[Change]:
    """Yield the same change of all lines that it fits."""
    head, start, back = source.partition("dy_hat = ")
    biases = "the gradients of the biases are"
    rules = [
        (2, Kind.NOT_SUMMED, r"\+= ", "= ", "the gradients are those of the first step, not the sums"),
        (2, Kind.CONSTANT, r"\.sum\(", ".mean(", f"{biases} means over the batch, not sums"),
        (2, Kind.NOT_SUMMED, r"\.sum\(axis=0\)", "[0]", f"{biases} those of one sample, not sums"),
    ]
    for old, new in (("h_before", "cache[t].h"), ("c_before", "c")):
        rules.append((4, Kind.OFF_BY_ONE, rf"\b{old}\b(?!.*=)", new, f"{new} stands for {old}"))
    for name, pattern, own in (
        ("tanh", r"1 - (\w+) \* \1", FORMS[0]),
        ("sigmoid", r"(\w+) \* \(1 - \1\)", FORMS[1]),
    ):
        rules.append((3, Kind.DERIVATIVE, pattern, "1", f"the derivative of every {name} is left out"))
        for form, given in product(dict.fromkeys((own, *FORMS)), ARGUMENTS):
            shown = _readable(form.format(given.format("s")), "s")
            mistake = f"{shown} stands for the derivative of every {name} s"
            rules.append((6, Kind.DERIVATIVE, pattern, f"({form.format(given.format(GROUP))})", mistake))
    for rank, kind, pattern, new, mistake in rules:
        changed, times = re.subn(pattern, new, back)
        if times > 1:
            yield rank, kind, head + start + changed, mistake


def _blocks(body: list[ast.stmt], steps: str = "") -> Iterator[tuple[list[ast.stmt], str]]:
    """Yield the lists of statements of a function, each with the ``range`` of the loop that it stands in."""
    yield body, steps
    for statement in body:
        if isinstance(statement, ast.For | ast.If):
            inner = ast.unparse(statement.iter) if isinstance(statement, ast.For) else steps
            yield from _blocks(statement.body, inner)


def _changes(statement: ast.stmt, of: Function, steps: str) -> Iterator[Change]:
    """Yield the changes of a statement; ``steps`` is the range of its loop, as text."""
    if isinstance(statement, ast.For):
        yield from _walks(statement)
    if not isinstance(statement, ast.Assign | ast.AugAssign):
        return
    line, value, target = ast.unparse(statement), statement.value, _name(statement)
    if target.partition(",")[0] in FORWARD or isinstance(value, ast.DictComp):
        return
    left = line.removesuffix(ast.unparse(value))
    if isinstance(statement, ast.AugAssign) and steps:
        of_first = f"{target} is that of the first step, not the sum"
        yield 2, Kind.NOT_SUMMED, line.replace("+=", "=", 1), of_first
        for _, kind, text, mistake in _of_samples(value, target):
            both = f"{mistake}, in the first step alone"
            yield 7, kind, f"{left}{text}".replace("+=", "=", 1), both
        yield from (
            (rank, kind, left + text, mistake) for rank, kind, text, mistake in _of_rows(value, target, of)
        )
    if steps and target not in HANDED_BACK:
        for index, step in ((0, "last"), (-1, "first")):
            when = f"t {{}} {steps}[{index}]:\n    {line}"
            only, left_out = f"if {when.format('==')}", f"if {when.format('!=')}"
            yield 2, Kind.NOT_SUMMED, only, f"{target} is computed in the {step} step alone"
            yield 2, Kind.STEP_LEFT_OUT, left_out, f"{target} is not computed in the {step} step"
    for rank, kind, text, mistake in (*_of_samples(value, target), *_of_parts(value, target, of)):
        yield rank, kind, left + text, mistake
    if target not in ERRORS:
        for rank, kind, text, mistake in _of_whole(ast.unparse(value), target, of, in_loop=bool(steps)):
            yield rank, kind, left + text, mistake


def _walks(loop: ast.For) -> Iterator[Change]:
    """Yield the changes of which steps the walk back takes."""
    head, body = ast.unparse(loop).split("\n", 1)
    steps = ast.unparse(loop.iter)

    def walked(text: str) -> str:
        return f"{head.replace(steps, text)}\n{body}"

    yield 0, Kind.STEP_LEFT_OUT, walked(f"{steps}[:-1]"), "the first step (t = 1) is left out"
    yield 0, Kind.STEP_LEFT_OUT, walked(f"{steps}[1:]"), "the last step (t = T) is left out"
    for n in range(1, LONGEST):
        after = "one step" if n == 1 else f"{n} steps"
        yield 1, Kind.TRUNCATED, walked(f"{steps}[:{n}]"), f"the walk back ends after {after}"
    yield 4, Kind.OFF_BY_ONE, walked(f"{steps}[::-1]"), "the steps are walked forwards, not back"


def _of_whole(value: str, target: str, of: Function, *, in_loop: bool) -> Iterator[Change]:
    """Yield the changes of all that a statement computes."""
    if target in HANDED_BACK and in_loop:
        yield 0, Kind.NOT_HANDED_BACK, f"0 * ({value})", f"{target}_next is not handed back"
        yield 3, Kind.MISTAKEN, target, f"{target} stays what it was, where {value} is to be handed back"
        yield 7, Kind.TERM, f"({value}) + {target}", f"{target} is handed back whole as well"
        if target == "dh":
            yield 7, Kind.TERM, f"({value}) + {of.last}", f"{of.last} is added to dh in every step"
    else:
        yield 3, Kind.ZERO, f"0 * ({value})", f"{target} is zero"
    yield 3, Kind.SIGN, f"-({value})", f"{target} has the wrong sign"
    for kind, text, mistake in (
        (Kind.CONSTANT, "2 * ({})", "is twice as large"),
        (Kind.CONSTANT, "({}) / 2", "is half as large"),
        (Kind.CONSTANT, "({}) / len(x)", "is a mean over the steps, not a sum"),
        (Kind.CONSTANT, "({}) * len(x)", "is T times too large"),
        (Kind.CONSTANT, "({}) / len(y)", "is a mean over the batch, not a sum"),
        (Kind.CONSTANT, "({}) * len(y)", "is a sum over the batch, not a mean"),
        (Kind.CONSTANT, "({}) / y.shape[1]", "is a mean over the outputs, not a sum"),
        (Kind.CONSTANT, "({}) * y.shape[1]", "is a sum over the outputs, not a mean"),
        (Kind.CONSTANT, "({}) * y.size", "is a sum over the batch and the outputs, not a mean"),
        (Kind.TRANSPOSED, "({}).T", "is transposed"),
    ):
        yield 5, kind, text.format(value), f"{target} {mistake}"
    for atom in of.atoms:
        yield 10, Kind.FACTOR, f"({value}) * ({atom})", f"{target} has the factor {atom} too many"
        for form in FORMS[:2]:
            new = form.format(atom)
            yield 10, Kind.DERIVATIVE, f"({value}) * ({new})", f"{target} has the derivative {new} too many"
    for bound in BOUNDS:
        yield 9, Kind.CLIPPED, f"np.clip({value}, -{bound}, {bound})", f"{target} is cut off at ±{bound:g}"


def _of_parts(value: ast.expr, target: str, of: Function) -> Iterator[Change]:
    """Yield the changes of one part of what a statement computes."""
    inside: set[int] = set()  # nodes within a derivative
    for node in ast.walk(value):
        text = ast.unparse(node)
        if isinstance(node, ast.Dict):  # of gradients by name
            for key, part in zip(node.keys, node.values, strict=True):
                name = f"d{ast.unparse(key or part)}".replace("'", "")
                whole = [*_of_samples(part, name), *_of_whole(ast.unparse(part), name, of, in_loop=False)]
                for rank, kind, new, mistake in (*_of_parts(part, name, of), *whole):
                    yield rank, kind, _with(value, part, new), mistake
            return
        if special := SPECIAL.get(text):
            kind, new, mistake = special
            yield 5, kind, _with(value, node, f"({new})"), mistake.format(target)
        changes = [*_of_operation(node, target, of), *_of_call(node, target, of)]
        if derivative := DERIVATIVE.fullmatch(text):
            inside.update(map(id, ast.walk(node)))
            argument = next(filter(None, derivative.groups()))
            changes += _of_derivative(text, argument, target, of.atoms)
        if id(node) not in inside and text in of.atoms:
            changes += _of_atom(text, target, of)
        for rank, kind, new, mistake in changes:
            within = Kind.DERIVATIVE if id(node) in inside else kind
            yield rank, within, _with(value, node, f"({new})"), mistake


def _of_operation(node: ast.AST, target: str, of: Function) -> Iterator[Change]:
    """Yield the changes of a sum, a product or a choice."""
    if isinstance(node, ast.IfExp) and "[t - 1]" in (before := ast.unparse(node.body)):
        first, now = ast.unparse(node.orelse), before.replace("[t - 1]", "[t]")
        yield 4, Kind.OFF_BY_ONE, before, f"{target} of the first step is that after the last"
        yield 4, Kind.OFF_BY_ONE, first, f"{target} is that before the first step in every step"
        yield 4, Kind.OFF_BY_ONE, now, f"{now} stands for {before}, in the first step too"
    if not isinstance(node, ast.BinOp):
        return
    left, right = ast.unparse(node.left), ast.unparse(node.right)
    if isinstance(node.op, ast.Mult):
        for kept, lost in ((left, right), (right, left)):
            kind = Kind.DERIVATIVE if DERIVATIVE.fullmatch(lost) else Kind.FACTOR
            what = "derivative" if kind == Kind.DERIVATIVE else "factor"
            yield 1, kind, kept, f"the {what} {lost} is left out of {target}"
            yield 6, kind, f"({kept}) / ({lost})", f"{target} is divided by {lost}, not multiplied"
    elif isinstance(node.op, ast.Div):
        yield 2, Kind.CONSTANT, left, f"the division by {right} is left out of {target}"
    elif isinstance(node.op, ast.MatMult):
        for text in (f"({left}) @ ({right}).T", f"({left}).T @ ({right})", f"({right}) @ ({left})"):
            new = ast.unparse(ast.parse(text))
            yield 5, Kind.TRANSPOSED, new, f"{new} stands for {left} @ {right} in {target}"
        if of.gates > 1 and right == "W":
            yield from _of_gates(left, target, of.gates)
    elif isinstance(node.op, ast.Add):
        for kept, lost in ((left, right), (right, left)):
            if target in HANDED_BACK:
                yield 1, Kind.NOT_HANDED_BACK, kept, f"the part {lost} of {target} is left out"
            else:
                yield 1, Kind.TERM, kept, f"the term {lost} is left out of {target}"
        for new in (f"({left}) - ({right})", f"({right}) - ({left})"):
            yield 3, Kind.SIGN, new, f"{new} stands for {left} + {right} in {target}"
    elif isinstance(node.op, ast.Sub):
        text = f"{left} - {right}"
        yield 3, Kind.SIGN, f"({right}) - ({left})", f"{right} - {left} stands for {text} in {target}"
        yield 3, Kind.SIGN, f"({left}) + ({right})", f"{left} + {right} stands for {text} in {target}"
        for kept, lost in ((left, right), (right, left)):
            kind = Kind.MISTAKEN if "1" in (left, lost) else Kind.TERM
            yield 6, kind, kept, f"{kept} stands for {text} in {target}"


def _of_gates(left: str, target: str, gates: int) -> Iterator[Change]:
    """Yield the changes of ``left @ W``, a product with one matrix for each gate."""
    every, parts = range(gates), f"np.split({left}, {gates}, axis=1)"
    turned = f"{left} @ np.concatenate([w.T for w in np.split(W, {gates})])"
    yield 5, Kind.TRANSPOSED, turned, f"the matrices of W are transposed, each for itself, in {target}"
    for n in range(1, gates):
        for lost in combinations(every, n):
            others = f"np.concatenate([p * (g not in {lost}) for g, p in enumerate({parts})], axis=1) @ W"
            places = listing([str(g + 1) for g in lost])
            mistake = f"what goes through gate {places} of {gates} is left out of {target}"
            yield 4 + n, Kind.NOT_HANDED_BACK, others, mistake
    for order in list(permutations(every))[1:]:
        moved = f"np.concatenate([{parts}[g] for g in {order}], axis=1) @ W"
        yield (
            7,
            Kind.ORDER,
            moved,
            f"W meets the gates in another order, {[g + 1 for g in order]}, in {target}",
        )


def _of_rows(value: ast.expr, target: str, of: Function) -> Iterator[Change]:
    """Yield the gradient of gates with their rows in another order."""
    text = ast.unparse(value)
    for order in list(permutations(range(of.gates)))[1:]:
        moved = f"np.concatenate([np.split({text}, {of.gates})[g] for g in {order}])"
        yield 5, Kind.ORDER, moved, f"the gates of {target} stand in another order, {[g + 1 for g in order]}"


def _of_samples(value: ast.expr, target: str) -> Iterator[Change]:
    """Yield what a sum over the batch is of one sample alone."""
    text = ast.unparse(value)
    for index, sample in (("[:1]", "first"), ("[-1:]", "last")):
        mistake = f"{target} is that of the {sample} sample alone"
        if text.endswith(".sum(axis=0)"):
            yield 2, Kind.NOT_SUMMED, text.replace(".sum(", f"{index}.sum("), mistake
        elif product := re.fullmatch(r"(\S+)\.T @ (\S+|\w+\[.+\](\.h)?)", text):
            yield 2, Kind.NOT_SUMMED, f"{product[1]}{index}.T @ ({product[2]}){index}", mistake


def _of_call(node: ast.AST, target: str, of: Function) -> Iterator[Change]:
    if not isinstance(node, ast.Call):
        return
    text = ast.unparse(node)
    if text.endswith(".sum(axis=0)"):
        before = text.removesuffix(".sum(axis=0)")
        yield 2, Kind.CONSTANT, f"{before}.mean(axis=0)", f"{target} is a mean over the batch, not a sum"
        for one in ("sum", "mean"):
            yield (
                3,
                Kind.NOT_SUMMED,
                f"{before}.{one}()",
                f"{target} is one number, the {one} over the units too",
            )
    elif text.startswith("np.concatenate") and isinstance(node.args[0], ast.Tuple):
        parts = list(map(ast.unparse, node.args[0].elts))
        for order in list(permutations(parts))[1:]:
            rows = ", ".join(order)
            yield 5, Kind.ORDER, f"np.concatenate(({rows}), axis=1)", f"the rows of {target} stand as {rows}"
        for atom in of.atoms:
            factor = f"({text}) * np.tile({atom}, {len(parts)})"
            yield 10, Kind.FACTOR, factor, f"all rows of {target} have the factor {atom}"
        mixed = f"np.stack(({', '.join(parts)}), axis=2).reshape(len(y), -1)"
        yield 7, Kind.ORDER, mixed, f"the rows of the gates alternate in {target}"
    elif len(node.args) == 1:
        argument = ast.unparse(node.args[0])
        yield 6, Kind.MISTAKEN, argument, f"{argument} stands for {text} in {target}"


def _of_derivative(text: str, argument: str, target: str, atoms: list[str]) -> Iterator[Change]:
    """Yield other derivatives, and the same of another argument, in place of a derivative."""
    own = FORMS[0] if text.startswith("1 - ") else FORMS[1]
    shapes = ("act_prime({0})",) if text.startswith("act_prime") else (own,)
    arguments = [*ARGUMENTS[:3], *(atom for atom in atoms if atom != argument), *ARGUMENTS[3:]]
    news = [form.format(given.format(argument)) for given in arguments for form in (*shapes, *FORMS)]
    for new in dict.fromkeys([*news, f"1 / ({text})", f"({text}) ** 2"]):
        if new != text:
            shown = _readable(new, argument)
            yield 6, Kind.DERIVATIVE, new, f"{shown} stands for the derivative {text} in {target}"


def _readable(text: str, argument: str) -> str:
    """Return a text in which the argument of tanh or sigmoid is called a."""
    for inverse in ARGUMENTS[3:]:
        text = text.replace(inverse.format(argument), "a")
    return text


def _of_atom(text: str, target: str, of: Function) -> Iterator[Change]:
    """Yield other quantities in place of one, those of other steps first."""
    for old, new in SHIFTED:
        if old in text:
            shifted = text.replace(old, new)
            yield 4, Kind.OFF_BY_ONE, shifted, f"{shifted} stands for {text} in {target}"
    if "[t" in text:
        array, index = text.split("[", 1)
        yield 8, Kind.OFF_BY_ONE, f"{array}[::-1][{index}", f"{array} is read backwards in time in {target}"
    for other in of.atoms:
        if other != text:
            same = _timeless(other) == _timeless(text)
            kind, rank = (Kind.OFF_BY_ONE, 4) if same else (Kind.MISTAKEN, 8)
            yield rank, kind, other, f"{other} stands for {text} in {target}"
            yield 10, Kind.FACTOR, f"({text}) * ({other})", f"{target} has the factor {other} too many"
            yield 10, Kind.TERM, f"({text}) + ({other})", f"{target} has the term {other} too many"
    for kind, new, part in of.parts.get(text, ()):
        yield 6, kind, new, f"{part} is left out of the {text} in {target}"
    yield 7, Kind.SIGN, f"-{text}", f"-{text} stands for {text} in {target}"
    yield 7, Kind.ZERO, f"0 * {text}", f"{text} is left out of {target}"
    yield 8, Kind.MISTAKEN, f"1 - {text}", f"1 - {text} stands for {text} in {target}"
    for function in ("np.tanh", "sigmoid"):
        yield 8, Kind.MISTAKEN, f"{function}({text})", f"{function}({text}) stands for {text} in {target}"


def _timeless(text: str) -> str:
    """Return the text of a quantity without its time step."""
    return INDEX.sub("[]", BEFORE.get(text, text))


def _facts(definition: ast.FunctionDef) -> Function:
    """Return what the rules need to know of a backward pass."""
    operands, gates, last = list[ast.AST](), 1, ""
    for node in ast.walk(definition):
        if isinstance(node, ast.BinOp):
            operands += [node.left, node.right]
        elif isinstance(node, ast.Tuple):
            operands += node.elts
        elif isinstance(node, ast.IfExp):
            operands.append(node.body)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "np.concatenate":
            gates = len(getattr(node.args[0], "elts", ()))
    parts: dict[str, list[tuple[Kind, str, str]]] = {}
    for statement in ast.walk(definition):
        if isinstance(statement, ast.Assign):
            target = _name(statement)
            last = last or (ast.unparse(statement.value) if target == "dh" else "")
            for node in ast.walk(statement.value) if target.startswith("d") else ():
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Add):
                    for kept, lost in ((node.left, node.right), (node.right, node.left)):
                        text, part = _with(statement.value, node, ast.unparse(kept)), ast.unparse(lost)
                        kind = Kind.TERM if isinstance(node.op, ast.Add) else Kind.FACTOR
                        kind = Kind.DERIVATIVE if DERIVATIVE.fullmatch(part) else kind
                        parts.setdefault(target, []).append((kind, text, part))
    computed = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name) and _is_stored(node)}
    texts = [ast.unparse(node).removesuffix(".T") for node in operands]
    texts += [text.replace("[t - 1]", "[t]") for text in texts]
    arrays = [text for text in texts if re.fullmatch(r"(\w+|(x|hs|cache)\[.+\])(\.[hc])?", text)]
    atoms = [text for text in dict.fromkeys(arrays) if "[" in text or text in computed - NO_ARRAYS]
    return Function(atoms, gates, last, parts)


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _line(statement: ast.stmt) -> str:
    """Return the first line of a statement."""
    return ast.unparse(statement).partition("\n")[0]


def _name(statement: ast.Assign | ast.AugAssign) -> str:
    """Return what a statement computes: "da_r"; "dU" for grads["U"]."""
    target = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
    if isinstance(target, ast.Subscript):
        return f"d{ast.literal_eval(target.slice)}"
    return ast.unparse(target)


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
