"""Basic operations, and what a call of them amounts to: how many there are, their flops, their bytes.

A *product* is a matrix product (m, k) (k, n); it makes 2 m k n flops. Its form says how the two operands lie
in memory, as BLAS puts it: plain, both row by row; ``NT``, the right one is stored as (n, k); ``TN``, the
left one is stored as (k, m). A *pass* works on each of n elements; it makes n flops, also where it is a tanh.
`` into`` says that the result goes to an array that is there already; else the library allocates one.

Filling with zeros, copying and views are no arithmetic and are not counted.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

PRODUCT, NT, TN = "product", "product NT", "product TN"
INTO = " into"
TRANSCENDENTAL = ("tanh", "sigmoid", "exp")
ITEMSIZE = {"float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class Operation:
    """``times`` times the same basic operation; ``size`` is (m, k, n), or (n,) of a pass."""

    name: str  # "product NT", "tanh into", "add", ...
    size: tuple[int, ...]
    times: int = 1
    arrays: int = 3  # of a pass, that it reads and writes and that have its size

    @property
    def is_product(self) -> bool:
        """Return whether it is a matrix product."""
        return self.name.startswith(PRODUCT)

    @property
    def flops(self) -> int:
        """Count floating-point operations, all times together."""
        return self.times * flops(self.name, self.size)

    @property
    def elements_moved(self) -> int:
        """Count elements of its operands and its result, all times together."""
        if self.is_product:
            m, k, n = self.size
            return self.times * (m * k + k * n + m * n)
        return self.times * self.arrays * self.size[0]


Operations = list[Operation]


@dataclass(frozen=True, slots=True)
class Count:
    """What one call does."""

    operations: tuple[Operation, ...]
    itemsize: int  # bytes of an element

    @classmethod
    def of(cls, operations: Iterable[Operation], dtype: str) -> "Count":
        """Put equal operations together; they are on arrays of that dtype."""
        return cls(gathered(operations), ITEMSIZE[dtype])

    @property
    def calls(self) -> int:
        """Count the operations that the library is asked for."""
        return sum(operation.times for operation in self.operations)

    @property
    def flops(self) -> int:
        """Count floating-point operations: those of the products, and one for each element of a pass."""
        return sum(operation.flops for operation in self.operations)

    @property
    def product_flops(self) -> int:
        """Count those of the products alone."""
        return sum(operation.flops for operation in self.operations if operation.is_product)

    @property
    def activations(self) -> int:
        """Count elements that go through a tanh, a sigmoid or an exp."""
        return sum(o.flops for o in self.operations if plain(o.name) in TRANSCENDENTAL)

    @property
    def bytes(self) -> int:
        """Count bytes of operands and results of every operation: traffic, most of it within the caches."""
        return self.itemsize * sum(operation.elements_moved for operation in self.operations)


def flops(name: str, size: Iterable[int]) -> int:
    """Count the flops of one operation: 2 m k n of a product, n of a pass."""
    return math.prod(size) * (2 if name.startswith(PRODUCT) else 1)


def plain(name: str) -> str:
    """Return the operation without its form."""
    return name.partition(" ")[0]


def into(operations: Iterable[Operation]) -> list[Operation]:
    """Return the same operations, their results written into arrays that are there already."""
    return [replace(operation, name=operation.name + INTO) for operation in operations]


def repeated(times: int, operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations ``times`` times over."""
    return [replace(operation, times=operation.times * times) for operation in operations if times]


def gathered(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """List each operation once, in the order of its first place, with all its times."""
    times: dict[Operation, int] = {}
    for operation in operations:
        alike = replace(operation, times=1)
        times[alike] = times.get(alike, 0) + operation.times
    return tuple(replace(alike, times=n) for alike, n in times.items() if n)


def nn(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product of two matrices that are stored row by row."""
    return Operation(PRODUCT, (m, k, n), times)


def nt(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product whose right operand is stored as (n, k)."""
    return Operation(NT, (m, k, n), times)


def tn(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product whose left operand is stored as (k, m)."""
    return Operation(TN, (m, k, n), times)


def each(name: str, n: int, arrays: int = 3, times: int = 1) -> Operation:
    """Make a pass over n elements."""
    return Operation(name, (n,), times, arrays)
