"""Shows comparisons of criteria: rows of tables, Markdown and a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quillgraph.evals.criteria.report import MEASURES, CriteriaReport
from quillgraph.evals.measures.intervals import Estimate
from quillgraph.evals.picture import picture, save

BUILT_IN = ("minilm", "lexical")
"""Built-in embeddings, whose limits are known."""

COUNTS = ("criteria", "calls", "tokens")
"""Measures that are counts per request, not shares."""

SHOWN = (
    *MEASURES, "spearman", "spearman_within", "length_spearman", "alpha", "leniency",
    "pair_accuracy", "length_pair_accuracy", "kappa", "human_agreement",
)  # fmt: skip
"""Measures in the order of the table."""

CRITERIA_PANEL = ("recall", "precision", "coverage", "reusability", "consistency")
AGREEMENT_PANEL = ("spearman", "spearman_within", "alpha", "pair_accuracy", "kappa")
"""Measures in the two panels of the plot: of the criteria, and of a judge who uses them."""


def criteria_exclusions(report: CriteriaReport) -> str:
    """Say what no measure includes, and how often."""
    lines = [f"{reason} ({count})" for reason, count in report.excluded.items()]
    lines += [
        f"{name}: {reason} ({count})"
        for name, each in report.sources.items()
        for reason, count in each.excluded.items()
    ]
    return f"excluded: {'; '.join(lines)}" if lines else "nothing excluded"


def caveat(report: CriteriaReport) -> str:
    """A reservation that readers must know before they trust the numbers; empty if none."""
    if not report.not_english or report.placed_by not in BUILT_IN:
        return ""
    return (
        f"{report.not_english} of {report.requests} requests are not in English, but the "
        f"embeddings ({report.placed_by}) are made for it: similarities there mean little"
    )


def sources_markdown(report: CriteriaReport) -> str:
    """The whole report as Markdown, for papers and READMEs."""
    parts = [comparison_title(report), _table(comparison_rows(report))]
    if report.differences:
        parts.append(_table(parity_rows(report)))
    parts += [f"{line}." for line in (criteria_exclusions(report), caveat(report)) if line]
    return "\n\n".join(parts) + "\n"


def plot_criteria(report: CriteriaReport, file: Path) -> None:
    """Draw the shares and the agreement of each source with their intervals.

    Raises:
        ConfigError: If matplotlib is not installed.
        StorageError: If the file cannot be written.
    """
    plots = picture()
    panels = [
        [name for name in panel if _is_measured(name, report)]
        for panel in (CRITERIA_PANEL, AGREEMENT_PANEL)
    ]
    filled = [panel for panel in panels if panel]
    figure, axes = plots.subplots(
        1, len(filled), figsize=(6 * len(filled), 4), layout="constrained", squeeze=False
    )
    for place, panel in zip(axes[0], filled, strict=True):
        _draw(place, report, panel)
    axes[0][0].legend()
    figure.suptitle(comparison_title(report), fontsize="medium")
    save(figure, file)


def _draw(axes: Any, report: CriteriaReport, panel: Sequence[str]) -> None:
    """Draw grouped bars: a group for each measure, a bar for each source."""
    width = 0.8 / len(report.sources)
    for number, (source, each) in enumerate(report.sources.items()):
        known = [(n, each.measures[name]) for n, name in enumerate(panel) if name in each.measures]
        heights = [one.value or 0.0 for _, one in known]
        ends = [[_reach(one, side) for _, one in known] for side in ("low", "high")]
        axes.bar(
            [n + number * width for n, _ in known], heights, width, yerr=ends, capsize=2,
            label=source,
        )  # fmt: skip
    places = [n + 0.4 - width / 2 for n in range(len(panel))]
    axes.set_xticks(places, panel)
    axes.axhline(0, color="grey", linewidth=0.8)


def _reach(one: Estimate, side: str) -> float:
    """Distance of an interval's end from the value; 0 without an interval."""
    end = one.low if side == "low" else one.high
    return 0.0 if end is None or one.value is None else abs(end - one.value)


def comparison_title(report: CriteriaReport) -> str:
    """A title with the model, the data and the judge."""
    parts = [
        f"Criteria of {report.model} on {report.data}, {report.requests} requests",
        *([f"{report.texts} texts judged by {report.judge}"] if report.judge else []),
        "matches confirmed by the judge" if report.confirmed else f"near by {report.placed_by}",
    ]
    return "; ".join(parts)


def comparison_rows(report: CriteriaReport) -> list[list[str]]:
    """A header, then a row for each measure, a column for each source, with 95 % intervals."""
    columns = report.sources.values()
    return [
        ["measure", *report.sources],
        ["requests", *(str(each.requests) for each in columns)],
        *(
            [name, *(_cell(name, each.measures.get(name)) for each in columns)]
            for name in SHOWN
            if _is_measured(name, report)
        ),
    ]


def _is_measured(name: str, report: CriteriaReport) -> bool:
    return any(name in each.measures for each in report.sources.values())


def parity_rows(report: CriteriaReport) -> list[list[str]]:
    """Rows of how much better a judge agrees with people on our criteria than on others'."""
    names = dict.fromkeys(name for each in report.differences.values() for name in each)
    return [
        ["difference", *names],
        *(
            [pair, *(_cell(name, measures.get(name)) for name in names)]
            for pair, measures in report.differences.items()
        ),
    ]


def _cell(name: str, one: Estimate | None) -> str:
    if one is None or one.value is None:
        return "–"
    if name in COUNTS:
        return f"{one.value:,.1f}"
    if one.low is None or one.high is None:
        return f"{one.value:.2f}"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(_escaped(row))} |" for row in lines)


def _escaped(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
