"""The run as one picture: throughput and latency by connections, transfer rates, CPU per request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import results as names
from benchmarks.results import Figure, Results, unique
from benchmarks.targets import CHISEL, HAPROXY, NGINX, RATHOLE, SSH, WARP, varied

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    NGINX: "#9aa5b1",
    HAPROXY: "#4c78a8",
    CHISEL: "#59a14f",
    RATHOLE: "#9c6ade",
    SSH: "#e0a030",
    WARP: "#c8385a",
}


def draw(results: Results, target: Path) -> bool:
    """
    Draw what was measured into a file whose name says the format (.svg, .png).

    :returns: False when the keep-alive case, which the picture is about, was not measured or matplotlib is missing.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        return False
    matplotlib.use("agg")
    from matplotlib import pyplot

    figures = [figure for figure in results.of_case("keepalive") if figure.variant]
    if not figures:
        return False
    drawing, axes = pyplot.subplots(2, 2, figsize=(13, 8.5), layout="constrained")
    _bars(axes[0, 0], figures, names.REQUESTS, "1 KiB keep-alive, requests/s (more is better)")
    _bars(axes[0, 1], figures, names.P99, "1 KiB keep-alive, p99 ms (less is better)", logarithmic=True)
    _transfers(axes[1, 0], results.of_case("transfer"))
    _cpu(axes[1, 1], [figure for figure in figures if figure.variant == varied(128)])
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    drawing.savefig(target)
    pyplot.close(drawing)
    return True


def _bars(axes: Axes, figures: Sequence[Figure], metric: str, title: str, *, logarithmic: bool = False) -> None:
    """Draw a group of bars for each variant, a bar for each peer."""
    chosen = [figure for figure in figures if figure.metric == metric and not figure.program]
    variants = unique(figure.variant for figure in chosen)
    peers = unique(figure.peer for figure in chosen)
    width = 0.8 / max(1, len(peers))
    for index, peer in enumerate(peers):
        bars = axes.bar(
            [variants.index(each.variant) + index * width for each in chosen if each.peer == peer],
            [each.value for each in chosen if each.peer == peer],
            width,
            label=peer,
            color=_COLOURS.get(peer),
        )
        write = partial(_short, thousands=metric == names.REQUESTS)
        axes.bar_label(bars, fmt=write, size=6, rotation=90 if len(peers) > 4 else 0, padding=2)
    labels = [variant.replace(" connections", "").replace(", heads that vary", ",\nvaried") for variant in variants]
    axes.set_xticks([number + 0.4 - width / 2 for number in range(len(variants))], labels)
    axes.set_title(title, size=10)
    if logarithmic:
        axes.set_yscale("log")
    _tidy(axes)


def _short(value: float, *, thousands: bool) -> str:
    return f"{value / 1000:,.3g}k" if thousands and value >= 1000 else f"{value:,.3g}"


def _transfers(axes: Axes, figures: Sequence[Figure]) -> None:
    """Draw the rates of a download and an upload as two groups; nginx alone, ten times as fast, is left out."""
    directions = [
        Figure(
            case=each.case,
            variant=each.metric.removesuffix(" MB/s"),
            peer=each.peer,
            metric="MB/s",
            samples=each.samples,
        )
        for metric in (names.DOWN, names.UP)
        for each in figures
        if each.metric == metric and each.peer != NGINX
    ]
    _bars(axes, directions, "MB/s", "100 MB through each peer, MB/s (more is better)")


def _cpu(axes: Axes, figures: Sequence[Figure]) -> None:
    """Draw the CPU time of each peer as a bar, its programs on top of one another; the origin's own is left out."""
    chosen = [each for each in figures if each.metric == names.CPU_PER_REQUEST and each.program and each.peer != NGINX]
    peers = unique(figure.peer for figure in chosen)
    heights = dict.fromkeys(peers, 0.0)
    for figure in chosen:
        bars = axes.bar(
            [figure.peer],
            [figure.value],
            bottom=[heights[figure.peer]],
            color=_COLOURS.get(figure.peer),
            edgecolor="white",
        )
        axes.bar_label(bars, labels=[f"{figure.program} {figure.value:.1f}"], label_type="center", size=7)
        heights[figure.peer] += figure.value
    axes.set_title("CPU µs per request, 128 connections, heads that vary (less is better)", size=10)
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
