"""Basic operations, and what a call of them amounts to: how many there are, their flops, their bytes.

A *product* is a matrix product (m, k) (k, n); it makes 2 m k n flops. A *pass* works on each of n elements;
it makes n flops, also where it is a tanh.

Filling with zeros, copying and views are no arithmetic and are not counted.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs

PRODUCT, COPY, CALL = "product", "copy", "call"  # the last two are timed by probes alone
TRANSCENDENTAL = ("tanh", "sigmoid", "exp")
ITEMSIZE = {"float32": 4, "float64": 8}


# how the operands of a product lie in memory, as BLAS puts it: both row by row; the right one as (n, k); the
# left one as (k, m)
Stored = Literal["NN", "NT", "TN"]
Size = tuple[Annotated[int, Meta(ge=0, le=10**16)], ...]


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call of a library: what it computes, on how much, and in which form."""

    name: str  # "product", "tanh", "add", ...
    size: Size  # (m, k, n) of a product, (n,) of what works on each element; () stands for any
    stored: Stored = "NN"
    into: bool = False  # into an array that is there already; else the library allocates one

    @property
    def is_product(self) -> bool:
        """Return whether it is a matrix product."""
        return self.name == PRODUCT

    @property
    def flops(self) -> int:
        """Count its flops: 2 m k n of a product, n of a pass."""
        return math.prod(self.size) * (2 if self.is_product else 1)

    def at(self, *size: int) -> "Kernel":
        """Return the same in another size; in none, its form."""
        return structs.replace(self, size=size)


@dataclass(frozen=True, slots=True)
class Operation:
    """``times`` calls of the same kernel."""

    kernel: Kernel
    times: int = 1
    arrays: int = 3  # of a pass, that it reads and writes and that have its size

    @property
    def flops(self) -> int:
        """Count floating-point operations, all times together."""
        return self.times * self.kernel.flops

    @property
    def elements_moved(self) -> int:
        """Count elements of its operands and its result, all times together."""
        if self.kernel.is_product:
            m, k, n = self.kernel.size
            return self.times * (m * k + k * n + m * n)
        return self.times * self.arrays * self.kernel.size[0]


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
        return sum(operation.flops for operation in self.operations if operation.kernel.is_product)

    @property
    def activations(self) -> int:
        """Count elements that go through a tanh, a sigmoid or an exp."""
        return sum(o.flops for o in self.operations if o.kernel.name in TRANSCENDENTAL)

    @property
    def bytes(self) -> int:
        """Count bytes of operands and results of every operation: traffic, most of it within the caches."""
        return self.itemsize * sum(operation.elements_moved for operation in self.operations)


def into(operations: Iterable[Operation]) -> list[Operation]:
    """Return the same operations, their results written into arrays that are there already."""
    return [replace(one, kernel=structs.replace(one.kernel, into=True)) for one in operations]


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
    return Operation(Kernel(PRODUCT, (m, k, n)), times)


def nt(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product whose right operand is stored as (n, k)."""
    return Operation(Kernel(PRODUCT, (m, k, n), "NT"), times)


def tn(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product whose left operand is stored as (k, m)."""
    return Operation(Kernel(PRODUCT, (m, k, n), "TN"), times)


def each(name: str, n: int, arrays: int = 3, times: int = 1) -> Operation:
    """Make a pass over n elements."""
    return Operation(Kernel(name, (n,)), times, arrays)
