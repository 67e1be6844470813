"""Charts of a report's tables: grouped bars with their intervals."""

from __future__ import annotations

import math
import re
import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from aif.runtime.errors import ConfigError, nearest_names
from aif.train.paper.report import Cell, Column, Table

REFERENCE = "#B4B4B4"
"""Colour of reference rows, such as real faces."""
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's colours (Color Universal Design, 2008), which people with any colour vision tell apart."""
HATCHES = ("", "////", "....", "xxxx", "----", "oo")
"""What tells rows apart once the colours are used up."""
INK, FAINT = "#222222", "#d8d8d8"
WIDTH, BAR, GAP, LINE = 7.2, 0.145, 0.13, 0.135
"""Inches: the chart, the height of a bar, between two groups, a line of a group's name."""
DPI = 200


def bar_chart(table: Table, keys: tuple[str, ...], path: Path) -> None:
    """Draw columns of a table as groups of horizontal bars, one bar and one colour a row, into a PNG file.

    A bar is as long as the value (the mean over seeds), a thin line spans its 95 % interval (with several
    seeds from the lowest to the highest end of theirs), and dots show single seeds. A missing value is said
    to be missing.

    Args:
        table: what to draw.
        keys: keys of its columns, in the order of the groups from top to bottom; all shares, or none.
        path: the file; written beside and renamed.

    Raises:
        ConfigError: there is no key or no row, a key is unknown, or shares and other measures are mixed.
    """
    known = [column.key for column in table.columns]
    for key in keys:
        if key not in known:
            raise ConfigError(f"There is no column {key!r} in table {table.name}.", nearest_names(key, known))
    columns = [table.columns[known.index(key)] for key in keys]
    if not columns or not table.rows:
        raise ConfigError(
            f"There is nothing to draw of table {table.name}.", "Name at least one column and row."
        )
    if len({column.percent for column in columns}) > 1:
        raise ConfigError("A chart has one scale.", "Draw shares and other measures in two charts.")
    names = [textwrap.fill(_words(column.label), 24) for column in columns]
    lines = max(name.count("\n") + 1 for name in names)
    pitch = GAP + max(len(table.rows) * BAR, lines * LINE)
    top, bottom = 0.12 + 0.165 * math.ceil(len(table.rows) / _legend_columns(table)), 0.62
    height = top + len(columns) * pitch + bottom
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, bottom / height, 1.0, len(columns) * pitch / height))
    _bars(axes, table, columns, [known.index(key) for key in keys], pitch)
    _furnish(axes, names, columns[0].percent, pitch)
    widest = max(name.get_window_extent().width for name in axes.get_yticklabels())
    left = (widest / DPI + 0.16) / WIDTH
    axes.set_position((left, bottom / height, 0.99 - left, len(columns) * pitch / height))
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(left, 1.0),
        ncols=_legend_columns(table),
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
        borderaxespad=0.3,
        handlelength=1.1,
        handleheight=0.8,
        columnspacing=1.4,
    )
    figure.text(left, 0.1 / height, _key(table), fontsize=6.5, color="#555555", va="bottom")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
    partial.replace(path)


def _bars(axes: Axes, table: Table, columns: list[Column], indices: list[int], pitch: float) -> None:
    """All bars, from the top down; heights are in inches."""
    styles = [(colour, hatch) for hatch in HATCHES for colour in PALETTE]
    trained = references = 0
    offset = (pitch - len(table.rows) * BAR) / 2
    for number, row in enumerate(table.rows):
        if row.provenance:
            colour, hatch = styles[trained % len(styles)]
            trained += 1
        else:
            colour, hatch = REFERENCE, HATCHES[references % len(HATCHES)]
            references += 1
        places = [group * pitch + offset + (number + 0.5) * BAR for group in range(len(columns))]
        lengths = []
        for place, index, column in zip(places, indices, columns, strict=True):
            lengths.append(_marks(axes, row.cells[index], column, place))
        axes.barh(
            places,
            lengths,
            height=0.86 * BAR,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=_words(row.label),
        )


def _marks(axes: Axes, cell: Cell, column: Column, place: float) -> float:
    """The interval, the seeds and the figure of one bar; the bar's length."""
    summary, scale = cell.summary(), 100 if column.percent else 1
    if summary is None:
        axes.annotate(
            "not measured",
            (0, place),
            (3, 0),
            textcoords="offset points",
            fontsize=6,
            color="#777777",
            va="center",
        )
        return 0.0
    low, high = summary.hull or (summary.value, summary.value)
    if summary.hull is not None:
        axes.plot(
            [scale * low, scale * high], [place, place], color=INK, linewidth=0.9, solid_capstyle="butt"
        )
    seeds = [scale * n.value for n in cell.numbers if n is not None and math.isfinite(n.value)]
    if len(seeds) > 1:
        dots = {"markersize": 2.2, "markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 0.5}
        axes.plot(seeds, [place] * len(seeds), "o", **dots)  # type: ignore[arg-type]
        high = max(high, *(seed / scale for seed in seeds))
    axes.annotate(
        column.write(summary.value, unit=False),
        (scale * max(high, summary.value, 0.0), place),
        (3, 0),
        textcoords="offset points",
        fontsize=6,
        color=INK,
        va="center_baseline",
    )
    return scale * summary.value


def _furnish(axes: Axes, names: list[str], percent: bool, pitch: float) -> None:
    """Scale, grid and names of the groups; a scale of shares runs from 0 to 100 %."""
    axes.set_ylim(len(names) * pitch, 0)
    places = [(group + 0.5) * pitch for group in range(len(names))]
    axes.set_yticks(places, names, fontsize=8, color=INK)
    if percent:
        axes.set_xlim(0, 107)
        axes.set_xticks(range(0, 101, 20), [f"{share}%" for share in range(0, 101, 20)])
    else:
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0), high + 0.08 * (high - low))
    axes.tick_params(axis="x", labelsize=7, colors=INK, length=0, pad=3)
    axes.tick_params(axis="y", length=0, pad=5)
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color("#999999")
    axes.spines["left"].set_linewidth(0.7)


def _key(table: Table) -> str:
    """What the marks mean."""
    if not any(len(cell.numbers) > 1 for row in table.rows for cell in row.cells):
        return "Bar: value.  Line: its 95 % interval."
    return (
        "Bar: value, of several seeds the mean.  Dots: single seeds.\n"
        "Line: 95 % interval, of several seeds from the lowest to the highest end of theirs."
    )


def _legend_columns(table: Table) -> int:
    longest = max((len(row.label) for row in table.rows), default=0)
    return max(1, min(4, len(table.rows), 78 // (longest + 6)))


def _words(text: str) -> str:
    """Words as Matplotlib shows them: no formulas, and no back-quotes around code."""
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"\1", " ".join(text.split())).replace("$", r"\$")
