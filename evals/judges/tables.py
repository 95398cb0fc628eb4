"""Shows a judge's agreement with people: rows of tables, Markdown and a plot."""

from collections.abc import Sequence
from pathlib import Path

from quillgraph.backends.errors import ConfigError
from quillgraph.evals.judges.probes import ProbeResult
from quillgraph.evals.judges.report import JudgeReport
from quillgraph.evals.measures.cells import number, span
from quillgraph.evals.picture import picture, save


def judge_rows(report: JudgeReport) -> list[list[str]]:
    """A header, then each measure with its interval."""
    rows = [
        [name, number(estimate.value), span(estimate), str(estimate.clusters)]
        for name, estimate in report.measures.items()
    ]
    if changed := report.calibration:
        errors = f"{changed.error_before:.2f} → {changed.error_after:.2f}"
        rows.append(["error, calibrated", errors, "", str(changed.tested_on)])
    return [["measure", "value", "95 % interval", "prompts"], *rows]


def judge_exclusions(report: JudgeReport) -> str:
    """Say what no measure includes, and how often."""
    counts = "; ".join(f"{reason} ({count})" for reason, count in report.excluded.items())
    return f"excluded: {counts}" if counts else "nothing excluded"


def probe_rows(probes: Sequence[ProbeResult]) -> list[list[str]]:
    """A header, then each probe with its effect and verdict."""
    return [
        ["probe", "effect", "95 % interval", "tolerated", "unread", "verdict"],
        *(
            [
                *(probe.probe, number(probe.effect.value), span(probe.effect)),
                *(f"{probe.tolerance:g}", str(probe.unread), probe.verdict),
            ]
            for probe in probes
        ),
    ]


def judge_markdown(report: JudgeReport) -> str:
    """The measures as a Markdown table, for papers and READMEs."""
    lines = ["| measure | value | 95 % interval | prompts |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {number(estimate.value)} | {span(estimate)} | {estimate.clusters} |"
        for name, estimate in report.measures.items()
    ]
    return "\n".join(lines) + "\n"


def plot_curve(report: JudgeReport, file: Path) -> None:
    """Plot people's scores against the judge's.

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
