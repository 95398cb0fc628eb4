"""Measured numbers as the cells of a table."""

from quillgraph.evals.measures.intervals import Estimate


def number(value: float | None) -> str:
    """A measured number; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def span(estimate: Estimate) -> str:
    """The ends of an interval; a dash where there is none."""
    return (
        "–"
        if estimate.low is None or estimate.high is None
        else f"{estimate.low:.3f} to {estimate.high:.3f}"
    )
