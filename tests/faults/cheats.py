"""Variants that hand out what they kept, for real workers: ``faults.cheats:NAME``."""

from functools import partial
from types import SimpleNamespace

from tricks import TRICKS, honest

KEPT = {
    "in_bind": "worked out in bind",
    "by_content": "kept by content",
    "in_result": "worked out in result",
    "stops": "nothing after 50 calls",
    "once": "nothing after the first call",
}
NAMES = {name: name.replace("_", "-") for name in KEPT}
in_bind, by_content, in_result, stops, once = (
    SimpleNamespace(name=NAMES[name], library="numpy", bind=partial(TRICKS[trick], partial(honest, "numpy")))
    for name, trick in KEPT.items()
)
