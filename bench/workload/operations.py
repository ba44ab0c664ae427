"""Describe basic operations, and count the operations, flops and bytes of a call.

A *product* is a matrix product (m, k) (k, n) and takes 2 m k n flops. A *pass* computes each of n elements
and takes n flops, even for tanh. Filling with zeros, copying and views are no arithmetic and are not counted.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs

PRODUCT, COPY, CALL = "product", "copy", "call"  # only probes time copies and calls
TRANSCENDENTAL = ("tanh", "sigmoid", "exp")
ITEMSIZE = {"float32": 4, "float64": 8}


# memory layout of a product's operands, with the letters of BLAS: NN both row by row; NT the right operand
# as (n, k); TN the left operand as (k, m)
Stored = Literal["NN", "NT", "TN"]
Size = tuple[Annotated[int, Meta(ge=0, le=10**16)], ...]


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Describe one library call: the operation, its size and its form."""

    name: str  # "product", "tanh", "add", ...
    size: Size  # (m, k, n) of a product, (n,) of a pass; () means any size
    stored: Stored = "NN"
    into: bool = False  # True: the result goes into an existing array; False: the library allocates one

    @property
    def is_product(self) -> bool:
        """Return whether the operation is a matrix product."""
        return self.name == PRODUCT

    @property
    def flops(self) -> int:
        """Count the flops: 2 m k n for a product, n for a pass."""
        return math.prod(self.size) * (2 if self.is_product else 1)

    def at(self, *size: int) -> "Kernel":
        """Return the same operation with another size; without arguments, with the size () for any size."""
        return structs.replace(self, size=size)


@dataclass(frozen=True, slots=True)
class Operation:
    """Describe ``times`` calls of the same kernel."""

    kernel: Kernel
    times: int = 1
    arrays: int = 3  # for a pass: number of arrays of its size that it reads and writes

    @property
    def flops(self) -> int:
        """Count the floating-point operations of all ``times`` calls."""
        return self.times * self.kernel.flops

    @property
    def elements_moved(self) -> int:
        """Count the elements of operands and results of all ``times`` calls."""
        if self.kernel.is_product:
            m, k, n = self.kernel.size
            return self.times * (m * k + k * n + m * n)
        return self.times * self.arrays * self.kernel.size[0]


Operations = list[Operation]


@dataclass(frozen=True, slots=True)
class Count:
    """Hold the operations of one call."""

    operations: tuple[Operation, ...]
    itemsize: int  # bytes of an element

    @classmethod
    def of(cls, operations: Iterable[Operation], dtype: str) -> "Count":
        """Make a count of operations on arrays of ``dtype``; equal operations are merged."""
        return cls(gathered(operations), ITEMSIZE[dtype])

    @property
    def calls(self) -> int:
        """Count the library calls."""
        return sum(operation.times for operation in self.operations)

    @property
    def flops(self) -> int:
        """Count the floating-point operations of products and passes; a pass takes one per element."""
        return sum(operation.flops for operation in self.operations)

    @property
    def product_flops(self) -> int:
        """Count the floating-point operations of the products only."""
        return sum(operation.flops for operation in self.operations if operation.kernel.is_product)

    @property
    def activations(self) -> int:
        """Count the elements of all passes tanh, sigmoid and exp."""
        return sum(
            operation.flops for operation in self.operations if operation.kernel.name in TRANSCENDENTAL
        )

    @property
    def bytes(self) -> int:
        """Count the bytes of operands and results of all operations; most of them move within the caches."""
        return self.itemsize * sum(operation.elements_moved for operation in self.operations)


def into(operations: Iterable[Operation]) -> list[Operation]:
    """Return the same operations with their results written into existing arrays."""
    return [
        replace(operation, kernel=structs.replace(operation.kernel, into=True)) for operation in operations
    ]


def repeated(times: int, operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations with their counts multiplied by ``times``."""
    return [replace(operation, times=operation.times * times) for operation in operations if times]


def gathered(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Merge equal operations and add their ``times``, in the order of first occurrence."""
    times: dict[Operation, int] = {}
    for operation in operations:
        single = replace(operation, times=1)
        times[single] = times.get(single, 0) + operation.times
    return tuple(replace(single, times=n) for single, n in times.items() if n)


def nn(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product of two matrices stored row by row."""
    return Operation(Kernel(PRODUCT, (m, k, n)), times)


def nt(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product with the right operand stored as (n, k)."""
    return Operation(Kernel(PRODUCT, (m, k, n), "NT"), times)


def tn(m: int, k: int, n: int, times: int = 1) -> Operation:
    """Make a product with the left operand stored as (k, m)."""
    return Operation(Kernel(PRODUCT, (m, k, n), "TN"), times)


def each(name: str, n: int, arrays: int = 3, times: int = 1) -> Operation:
    """Make a pass over n elements."""
    return Operation(Kernel(name, (n,)), times, arrays)
