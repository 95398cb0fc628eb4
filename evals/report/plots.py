"""Plots as SVG, drawn by matplotlib and embedded in the page."""

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from quillgraph.evals.report.calls import CallLog
from quillgraph.evals.report.tables import Interval
from quillgraph.evals.report.training import Curve, PlotPanel

MOST_PICTURES = 24
"""Pictures of one panel; the table beside them has every metric."""

MOST_DRAWN = 500
"""Number of bars from which they are stored as an image in the SVG, which is smaller."""

STYLE = {
    "svg.fonttype": "none",  # words stay words: smaller, and sharp on any screen
    "svg.hashsalt": "quillgraph",  # equal runs give equal pages
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a data URI, with its description in words."""

    source: str
    words: str


def timeline(log: CallLog) -> Picture:
    """Each call as a bar over the time of the run, a row for each role; tokens below."""
    roles = [cost.role for cost in log.roles]

    def draw(axes: Any) -> None:
        for place, role in enumerate(roles):
            # failed calls are drawn last, so that nothing covers them
            for failed, colour, alpha in ((False, "#2b6cb0", 0.45), (True, "#c53030", 0.9)):
                bars = [
                    (call.requested - log.began, max(call.latency_s, log.elapsed_s / 1000))
                    for call in log.calls
                    if call.role == role and (call.error is not None) is failed
                ]
                axes.broken_barh(
                    bars, (place - 0.35, 0.7), color=colour, alpha=alpha, linewidth=0,
                    rasterized=len(log.calls) > MOST_DRAWN,
                )  # fmt: skip
        axes.set_yticks(range(len(roles)), [_label(role) for role in roles])
        axes.invert_yaxis()

    def draw_tokens(axes: Any) -> None:
        ended = sorted(log.calls, key=lambda call: call.requested + call.latency_s)
        ends = [call.requested + call.latency_s - log.began for call in ended]
        for name in ("prompt_tokens", "completion_tokens"):
            total = accumulate((getattr(call, name) for call in ended), initial=0)
            axes.step([0, *ends], list(total), where="post", label=name.replace("_", " "))
        axes.set_xlabel("seconds since the first call")
        axes.set_ylabel("tokens so far")
        axes.ticklabel_format(style="plain", axis="y")
        axes.legend(fontsize=7)

    failed = sum(cost.failed for cost in log.roles)
    words = (
        f"Timeline of {len(log.calls):,} calls over {log.elapsed_s:.1f} seconds, one line for each "
        f"of the roles {', '.join(roles)}; {failed:,} calls failed. Below it, the tokens so far. "
        "The table has the numbers."
    )
    return Picture(_svg((draw, 0.5 + 0.3 * len(roles)), (draw_tokens, 2)), words)


def curves(panel: PlotPanel) -> tuple[Picture, ...]:
    """Each quantity of a panel over the steps, small enough for a phone."""
    return tuple(_curves(same) for same in panel.pictures[:MOST_PICTURES])


def intervals(estimates: Sequence[Interval]) -> Picture | None:
    """Estimates with their intervals, one below the other; None if all are undefined."""
    defined = [each for each in estimates if each.value is not None]
    if not defined:
        return None

    def draw(axes: Any) -> None:
        for place, each in enumerate(defined):
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [place, place], color="#2b6cb0", linewidth=2)
            axes.plot([each.value], [place], marker="o", color="#1a365d")
        axes.set_yticks(range(len(defined)), [_label(each.name) for each in defined])
        axes.set_ylim(len(defined) - 0.5, -0.5)
        axes.grid(axis="x", linewidth=0.3)

    values = "; ".join(f"{each.name} {each.value:.3f}" for each in defined)
    words = f"Values with 95 % intervals: {values}. The table has the numbers."
    return Picture(_svg((draw, 0.8 + 0.3 * len(defined))), words)


def calibration(points: Sequence[tuple[float, float]]) -> Picture:
    """People's mean scores against the judge's."""
    automatic, human = zip(*points, strict=True)

    def draw(axes: Any) -> None:
        ends = [min(*automatic, *human), max(*automatic, *human)]
        axes.plot(ends, ends, color="grey", linewidth=0.8, linestyle=":", label="equal scores")
        axes.plot(automatic, human, marker="o", color="#2b6cb0", label="judge")
        axes.set_xlabel("mean score of the judge")
        axes.set_ylabel("mean score of people")
        axes.legend()

    words = f"Calibration curve of {len(points)} bands. The table has the numbers."
    return Picture(_svg((draw, 4)), words)


def _curves(same: Sequence[Curve]) -> Picture:
    def draw(axes: Any) -> None:
        for curve in same:
            steps, values = zip(*curve.points, strict=True)
            axes.plot(
                steps, values, marker="." if len(steps) < 30 else None, label=_label(curve.name)
            )
        axes.set_xlabel("step")
        axes.set_title(_label(same[0].quantity), fontsize=9, loc="left")
        axes.grid(linewidth=0.3)
        if len(same) > 1:
            axes.legend(fontsize=7)

    words = "; ".join(
        f"{curve.name} from {curve.values[0]:.3g} to {curve.values[-1]:.3g}" for curve in same
    )
    return Picture(_svg((draw, 2.2), width=3.5), f"Curves over the steps: {words}.")


def _svg(*parts: tuple[Callable[[Any], None], float], width: float = 7) -> str:
    """Draw plots one below the other as an SVG; heights in inches."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # the browser draws the words: its fonts have letters that matplotlib's font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        heights = [height for _, height in parts]
        figure = Figure(figsize=(width, sum(heights)), layout="constrained", dpi=110)
        FigureCanvasSVG(figure)
        every = figure.subplots(len(parts), height_ratios=heights, sharex=True, squeeze=False)
        for axes, (draw, _) in zip(every.flat, parts, strict=True):
            draw(axes)
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _label(name: str) -> str:
    """A name fit for a picture: short, legal in XML, no mathematics, no `_` that hides it."""
    short = name if len(name) <= 48 else name[:47] + "…"
    legal = "".join(letter if letter.isprintable() else "\ufffd" for letter in short)
    return legal.replace("$", r"\$").lstrip("_") or "?"
