"""Say in a sentence what explains a wrong gradient; the words are the same wherever a finding is shown."""

from collections.abc import Sequence

from bench.gradients.finding import Finding
from bench.machine.wording import listing

SHORT = 3  # characters of a name; a longer one is not written behind a d: dU, but the gradient of weight_ih


def sentences(findings: Sequence[Finding]) -> list[str]:
    """Return a sentence per finding, without a full stop; a second one of the same parameters says "also".

    "dU and dW are what you get when dh_next is not handed back (equal to 1e-16 at T = 1, 2 and 5;
    docs/derivation.md, section 4)".
    """
    return [
        sentence(finding, also=any(finding.parameters == before.parameters for before in findings[:place]))
        for place, finding in enumerate(findings)
    ]


def sentence(finding: Finding, *, also: bool = False) -> str:
    """Return what a finding says, without a full stop; with ``also``, beside another such sentence."""
    source = f"docs/derivation.md, section {finding.section}" if finding.section else ""
    shown = "; ".join(filter(None, [finding.evidence, source]))
    right = f"; the line is {finding.line}" if finding.line else ""
    return (
        f"{_gradients(finding.parameters)} {'also ' if also else ''}what you get when {finding.mistake}"
        f"{f' ({shown})' if shown else ''}{right}"
    )


def _gradients(parameters: Sequence[str]) -> str:
    """Return the gradients of these parameters with their verb: "dU and dW are"."""
    most = len(parameters)
    if any(len(name) > SHORT for name in parameters):
        names = listing(parameters, most)
        return f"the gradients of {names} are" if most > 1 else f"the gradient of {names} is"
    return f"{listing([f'd{name}' for name in parameters], most)} {'are' if most > 1 else 'is'}"
