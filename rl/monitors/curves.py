"""Plots of a run over its steps: reward, hard criteria kept, loss, lengths and times."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quillgraph.rl.monitors.log import Lines

PANELS = {
    "reward": ("criteria/reward", "eval/reward"),
    "texts that keep every hard demand": ("criteria/kept_all", "eval/kept_all"),
    "loss": ("loss",),
    "mean tokens of a text": ("completions/mean_length",),
    "seconds of a step": (
        "time/generate_s",
        "time/judge_s",
        "time/logps_s",
        "time/update_s",
        "time/sync_s",
        "time/reflect_s",
    ),
    "gradient norm": ("grad_norm",),
}
"""Title of a panel to the metrics that it shows."""


def draw_curves(folder: Path) -> Path | None:
    """Draw the curves of a run's metrics; None where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = Lines(folder / "metrics.jsonl").read()
    stage = rows[-1]["stage"] if rows else "rl"
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, names) in enumerate(PANELS.items(), 1):
        axes = figure.add_subplot(2, 3, number)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for name in names:
            points = [(row["step"], row[name]) for row in rows if _has(row, name, stage)]
            if points:
                steps, values = zip(*points, strict=True)
                held_out = name.startswith("eval/")
                label = "held out" if held_out else name.split("/")[-1]
                axes.plot(steps, values, marker="o" if held_out else None, label=label)
        if len(axes.lines) > 1:
            axes.legend(fontsize=8)
    picture = folder / "curves.png"
    figure.savefig(picture, dpi=110)
    return picture


def _has(row: dict[str, Any], name: str, stage: str) -> bool:
    return row.get("stage") == stage and isinstance(row.get(name), int | float)
