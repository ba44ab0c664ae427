"""Say in a sentence what explains a wrong gradient; the words are the same wherever a finding is shown."""

from collections.abc import Sequence

from bench.gradients.finding import Finding
from bench.machine.wording import listing

SHORT = 3  # characters; a longer name is not written behind a d: dU, but the gradient of weight_ih


def sentences(findings: Sequence[Finding]) -> list[str]:
    """Return a sentence per finding, without a full stop; a second one of the same parameters says "also".

    "dU and dW are what you get when dh_next is not handed back (equal to 1e-16 at T = 1, 2 and 5; the
    reference has `dh = da @ W`; docs/derivation.md, section 4)".
    """
    said = []
    for place, finding in enumerate(findings):
        also = "also " if any(finding.parameters == one.parameters for one in findings[:place]) else ""
        details = (
            finding.evidence,
            finding.line and f"the reference has `{finding.line}`",
            finding.section and f"docs/derivation.md, section {finding.section}",
        )
        shown = "; ".join(str(detail) for detail in details if detail)
        what = f"{_gradients(finding.parameters)} {also}what you get when {finding.mistake}"
        said.append(f"{what} ({shown})" if shown else what)
    return said


def gradient(parameter: str) -> str:
    """Return how the gradient of a parameter is called: dU, but weight_ih as the parameter."""
    return f"d{parameter}" if len(parameter) <= SHORT else parameter


def _gradients(parameters: Sequence[str]) -> str:
    """Return the gradients of these parameters with their verb: "dU and dW are"."""
    s, are = ("s", "are") if len(parameters) > 1 else ("", "is")
    if any(len(name) > SHORT for name in parameters):
        return f"The gradient{s} of {listing(parameters, len(parameters))} {are}"
    return f"{listing([*map(gradient, parameters)], len(parameters))} {are}"
