"""Shows comparisons of policies: rows of tables, Markdown and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quillgraph.agents.text import visible
from quillgraph.evals.measures.cells import number, span
from quillgraph.evals.measures.intervals import Estimate
from quillgraph.evals.picture import picture, save
from quillgraph.evals.policies.report import OF_TEXTS, OF_WINS, PolicyReport

DRAWN = ("hard", "soft", "diversity", "repetition", "words", "tokens")
"""Measures of texts that are drawn, beside the wins."""


def policy_rows(report: PolicyReport) -> list[list[str]]:
    """A head, then what each policy's texts are like, a row for each measure."""
    names = [each.name for each in report.policies]
    rows = (
        [measure, *(number(report.measures[measure][name].value) for name in names)]
        for measure in _known_measures(report, OF_TEXTS)
    )
    return [["measure", *names], *rows]


def against_rows(report: PolicyReport, name: str) -> list[list[str]]:
    """A policy against the reference, with intervals: name, measure, value, interval, prompts."""
    return [
        [name, measure, number(estimate.value), span(estimate), str(estimate.clusters)]
        for measure, estimate in _against(report, name).items()
    ]


def legend(report: PolicyReport) -> str:
    """Which policy a name stands for."""
    return visible("\n".join(f"{each.name}: {each.spec}" for each in report.policies))


def policies_markdown(report: PolicyReport) -> str:
    """The comparison as a Markdown table, for papers and READMEs."""
    names = [each.name for each in report.policies]
    columns = [*names, *(f"{name}-{report.reference}" for name in names[1:])]
    lines = [
        f"{report.prompts} prompts of {report.data}, {report.texts} texts of each policy; scores "
        f"by {report.judge} on {report.criteria}. 95 % intervals over prompts.",
        "",
        *(f"- {each.name}: `{each.spec.replace('|', '¦')}`" for each in report.policies),
        "",
        f"| measure | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for measure in [*_known_measures(report, OF_TEXTS), *_known_measures(report, OF_WINS)]:
        rows = report.measures[measure]
        cells = (_cell(rows[column]) if column in rows else "" for column in columns)
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    lines += ["", *(f"- {note}" for note in report.notes)] if report.notes else []
    return "\n".join([*lines, "", policy_exclusions(report)]) + "\n"


def policy_exclusions(report: PolicyReport) -> str:
    """Say what no measure includes, and how often."""
    counts = "; ".join(f"{reason} ({count})" for reason, count in report.excluded.items())
    return visible(f"Excluded: {counts}" if counts else "Nothing excluded.")


def plot_policies(report: PolicyReport, file: Path) -> None:
    """Draw the measures, policies one below the other, and the wins.

    Raises:
        ConfigError: If matplotlib is not installed.
        StorageError: If the file cannot be written.
    """
    drawn = [measure for measure in DRAWN if _known(report.measures.get(measure, {}))]
    wins = [measure for measure in OF_WINS if _known(report.measures.get(measure, {}))]
    plots = picture()
    columns = 3
    rows = -(-len(drawn + wins) // columns)
    names = [each.name for each in report.policies]
    size = (4 * columns, rows * (1.2 + 0.35 * len(names)))
    figure, every = plots.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in every.flat[len(drawn + wins) :]:
        axes.set_visible(False)
    for axes, measure in zip(every.flat, [*drawn, *wins], strict=False):
        _draw(axes, {n: e for n, e in report.measures[measure].items() if n in names})
        axes.set_title(measure.replace("_", " "), fontsize=9, loc="left")
        if measure in OF_WINS:
            axes.axvline(0.5, color="grey", linewidth=0.8, linestyle=":")
            axes.set_xlim(0, 1)
    figure.suptitle(f"{report.data}, judged by {report.judge}", fontsize=10)
    save(figure, file)


def _draw(axes: Any, rows: Mapping[str, Estimate]) -> None:
    for place, estimate in enumerate(rows.values()):
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [place, place], color="#2b6cb0", linewidth=2)
        if estimate.value is not None:
            axes.plot([estimate.value], [place], marker="o", color="#1a365d")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", linewidth=0.3)


def _against(report: PolicyReport, name: str) -> dict[str, Estimate]:
    """Wins against the reference, and differences from it."""
    wins = {measure: report.measures[measure][name] for measure in OF_WINS}
    row = f"{name}-{report.reference}"
    return wins | {
        f"Δ {measure}": report.measures[measure][row]
        for measure in DRAWN
        if _known(report.measures[measure])
    }


def _known_measures(report: PolicyReport, measures: Mapping[str, str]) -> list[str]:
    """The measures that any policy has a value of: no hard demands, no column."""
    return [measure for measure in measures if _known(report.measures.get(measure, {}))]


def _known(rows: Mapping[str, Estimate]) -> bool:
    return any(estimate.value is not None for estimate in rows.values())


def _cell(estimate: Estimate) -> str:
    value = number(estimate.value)
    return value if estimate.low == estimate.high else f"{value} ({span(estimate)})"
