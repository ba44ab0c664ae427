"""Write numbers for readers: three significant digits, a fitting unit, intervals in brackets."""

import math

TIME_UNITS = ((1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s"))
RATE_UNITS = ((1.0, ""), (1e3, " k"), (1e6, " M"), (1e9, " G"))
NOTHING = "–"  # shown in a table where there is no number
MIN_PLAIN, MAX_PLAIN = 1e-9, 1e15  # other numbers are written with an exponent
NEAR_1 = 0.1  # ratios nearer to 1 get a third decimal: else 0.996 and 1.004 would look alike


def number(x: float) -> str:
    """Return three significant digits; from 1000 on, a whole number with thin spaces between thousands.

    An exponent is used only for a number that is too long without one.
    """
    if not math.isfinite(x):
        return NOTHING
    if x == 0:
        return "0"
    if not MIN_PLAIN <= abs(x) < MAX_PLAIN:
        return f"{x:.2e}"
    decimals = max(0, 2 - math.floor(math.log10(abs(float(f"{x:.3g}")))))
    return f"{x:,.{decimals}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def whole(n: int) -> str:
    """Return a count with thin spaces between thousands."""
    return f"{n:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def ratio(x: float) -> str:
    """Return a ratio as text, with three decimals near 1."""
    return f"{x:.3f}" if abs(x - 1) < NEAR_1 else number(x)


def duration(ns: float | None) -> str:
    """Return nanoseconds in a fitting unit: 77.3 µs, 27.1 ms."""
    return NOTHING if ns is None else _scaled(ns, TIME_UNITS, " ")


def rate(per_second: float | None) -> str:
    """Return a number per second in a fitting unit: 1.28 M, 4.71 k."""
    return NOTHING if per_second is None else _scaled(per_second, RATE_UNITS, "")


def seconds(s: float) -> str:
    """Return seconds as seconds or minutes: 97.5 s, 12 min."""
    return f"{number(s)} s" if s < 600 else f"{number(s / 60)} min"


def memory(size_bytes: int | float) -> str:
    """Return an amount of memory in GiB."""
    return f"{number(size_bytes / 2**30)} GiB"


def interval(low: float | None, high: float | None) -> str:
    """Return the limits of a ratio, "[2.14, 2.29]"; empty if a limit is unknown."""
    return "" if low is None or high is None else f"[{ratio(low)}, {ratio(high)}]"


def with_interval(x: float | None, low: float | None, high: float | None) -> str:
    """Return a ratio and its limits, "2.21 [2.14, 2.29]"."""
    return NOTHING if x is None else f"{ratio(x)} {interval(low, high)}".rstrip()


def above_1(x: float, low: float | None, high: float | None) -> tuple[float, float | None, float | None]:
    """Return a ratio and its limits; if the ratio is below 1, their reciprocals."""
    return (x, low, high) if x >= 1 else (1 / x, high and 1 / high, low and 1 / low)


def percent(fraction: float) -> str:
    """Return 0.0123 as "1.2 %"."""
    return f"{100 * fraction:.2g} %" if abs(fraction) < 0.995 else f"{number(100 * fraction)} %"


def error(x: float) -> str:
    """Return a relative error as text: 2.0e-07."""
    return "0" if x == 0 else f"{x:.1e}"


def short_error(x: float) -> str:
    """Return a relative error in short form: 3e-6, 38%, 0."""
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    return f"{x:.0%}" if 0.01 <= x < 100 else f"{x:.0e}".replace("e-0", "e-")


def _scaled(x: float, units: tuple[tuple[float, str], ...], gap: str) -> str:
    """Return ``x`` in the largest unit in which its rounded value is at least 1: 999.9 ns is 1.00 µs."""
    rounded = float(f"{x:.3g}")
    size, name = max((unit for unit in units if rounded >= unit[0]), default=units[0])
    return f"{number(rounded / size)}{gap}{name}"
