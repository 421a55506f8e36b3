"""The reward curve, in the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_ROWS = 8
_BLOCKS = " ▁▂▃▄▅▆▇█"


def draw_terminal_curve(rewards: Sequence[float]) -> str:
    """A bar a step between 0 and 1, eight rows high.

    Example:
        >>> print(draw_terminal_curve([0.0, 1.0]).splitlines()[0])
        1.0 │ █
    """
    lines = []
    for row in reversed(range(_ROWS)):
        bars = "".join(_BLOCKS[round(min(1.0, max(0.0, reward * _ROWS - row)) * 8)] for reward in rewards)
        label = {_ROWS - 1: "1.0", 0: "0.0"}.get(row, "   ")
        lines.append(f"{label} │{bars}")
    lines.append("    └" + "─" * len(rewards))
    lines.append(f"     1{'step':^{max(4, len(rewards) - 3)}}{len(rewards)}")
    return "\n".join(lines)


def save_curve(path: Path, trained: Sequence[float], routed: Sequence[float]) -> None:
    """A PNG of OpenRLHF's rewards a step, and the router's own over them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = range(1, len(trained) + 1)
    axes.plot(steps, trained, color="#1f5aa6", linewidth=2.2, label="OpenRLHF's log: mean reward of the step")
    axes.plot(
        range(1, len(routed) + 1), routed, linestyle="none", marker="o", markersize=5, markerfacecolor="none",
        markeredgecolor="#d1495b", label="rayreward's router: mean of what it answered",
    )  # fmt: skip
    axes.set(xlabel="training step", ylabel="mean reward", ylim=(0, 1.05), xlim=(0, len(trained) + 1))
    axes.set_title("A tiny model learns what the served reward likes", loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path)
