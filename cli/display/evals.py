"""Evaluations as a person reads them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.evals.judges import JudgeReport, ProbeResult
from quillgraph.evals.measures import Estimate


def measures_table(report: JudgeReport) -> Table:
    """Each measure with its interval."""
    table = Table(
        title=f"{report.judge} on {report.data} ({report.criteria})", title_justify="left"
    )
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("prompts", justify="right")
    for name, found in report.measures.items():
        table.add_row(name, number(found.value), span(found), str(found.clusters))
    if report.calibration:
        changed = report.calibration
        errors = f"{changed.error_before:.2f} → {changed.error_after:.2f}"
        table.add_row("error, calibrated", errors, "", str(changed.tested_on))
    return table


def judge_exclusions(report: JudgeReport) -> str:
    """What is in no measure, and how often."""
    counts = "; ".join(f"{reason} ({count})" for reason, count in report.excluded.items())
    return f"excluded: {counts}" if counts else "nothing excluded"


def findings_table(findings: Sequence[ProbeResult]) -> Table:
    """Each probe with what the change earned and the verdict."""
    table = Table(title="Probes", title_justify="left")
    for name in ("probe", "effect", "95 % interval", "tolerated", "unread", "verdict"):
        table.add_column(name, justify="left" if name in ("probe", "verdict") else "right")
    for found in findings:
        table.add_row(
            found.probe,
            number(found.effect.value),
            span(found.effect),
            f"{found.tolerance:g}",
            str(found.unread),
            found.verdict,
        )
    return table


def judge_markdown(report: JudgeReport) -> str:
    """The measures as a Markdown table, for papers and READMEs."""
    lines = ["| measure | value | 95 % interval | prompts |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {number(found.value)} | {span(found)} | {found.clusters} |"
        for name, found in report.measures.items()
    ]
    return "\n".join(lines) + "\n"


def plot_curve(report: JudgeReport, file: Path) -> None:
    """Draw people's scores over the judge's.

    Raises:
        ConfigError: If matplotlib is not installed, or there are no scored texts to draw.
        StorageError: If the file cannot be written.
    """
    if not report.curve:
        raise ConfigError(f"{report.data} has no scored texts, so there is no curve to draw")
    plots = picture()
    figure, axes = plots.subplots(figsize=(5, 5), layout="constrained")
    axes.plot([1, 10], [1, 10], color="grey", linewidth=0.8, linestyle=":", label="equal scores")
    bands = report.curve
    axes.plot([b.judged for b in bands], [b.human for b in bands], marker="o", label=report.judge)
    axes.set(xlabel="judge", ylabel="people", title=report.data)
    axes.legend()
    save(figure, file)


def picture() -> Any:
    """The module that draws, set to need no screen.

    Raises:
        ConfigError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install 'quillgraph[plot]'") from error
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save(figure: Any, file: Path) -> None:
    """Write a picture and give it back.

    Raises:
        StorageError: If the file cannot be written.
    """
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot write {file}: {error}") from error
    finally:
        picture().close(figure)


def number(value: float | None) -> str:
    """A measured number; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def span(found: Estimate) -> str:
    """The ends of an interval; a dash where there is none."""
    return (
        "–" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"
    )
