"""
Two trees of Warp under the same loads in one run: is a figure better, worse or the same?

Both took their turns in every round, so the ratio is taken round by round: what disturbed the machine in one round
disturbed both. Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.layout import format_value, table
from benchmarks.results import CIRCUMSTANCES, MORE_IS_BETTER, Figure, Results
from benchmarks.targets import WARP

TOLERANCE = 0.05
"""By how much the median of the rounds' ratios may differ from 1 and still count as the same."""

TOLERANCE_OF_ONE = 0.15
"""The same where there was one round only, and nothing says how far figures stray by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One figure of both trees.

    :param ratios: now by before, of each round.
    """

    now: Figure
    before: Figure
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def verdict(self) -> str:
        """
        Say "worse" or "better" only if the median is beyond the tolerance and every round points the same way.

        With six rounds chance alone makes all of them point to "worse" for one figure in 64; with three for one in 8.
        """
        worsening = [1 / ratio for ratio in self.ratios] if self.now.metric in MORE_IS_BETTER else list(self.ratios)
        tolerance = TOLERANCE if len(worsening) > 1 else TOLERANCE_OF_ONE
        is_single = len(worsening) == 1
        if statistics.median(worsening) > 1 + tolerance and min(worsening) > 1:
            return "worse in one round" if is_single else "**worse**"
        if statistics.median(worsening) < 1 - tolerance and max(worsening) < 1:
            return "better in one round" if is_single else "better"
        return "same"


def compare(results: Results, other: str, name: str = WARP) -> list[Change]:
    """Pair the figures of one tree with those of another; what only one has, or what is no merit, is left out."""
    before = {_key(figure): figure for figure in results.figures if figure.peer == other}
    changes = []
    for figure in results.figures:
        match = before.get(_key(figure))
        if figure.peer != name or match is None or figure.metric in CIRCUMSTANCES:
            continue
        pairs = zip(figure.samples, match.samples, strict=False)
        ratios = tuple(now / then for now, then in pairs if now > 0 and then > 0)
        if ratios:
            changes.append(Change(now=figure, before=match, ratios=ratios))
    return changes


def _key(figure: Figure) -> tuple[str, str, str, str]:
    return figure.case, figure.variant, figure.metric, figure.program


def comparison_table(changes: Sequence[Change], other: str) -> str:
    """Lay out all figures of both trees."""
    rows = [["case", "load", "figure", other, "now", "now / before", "rounds", ""]]
    for change in changes:
        now = change.now
        rows.append(
            [
                now.case,
                now.variant,
                f"{now.metric}, {now.program}" if now.program else now.metric,
                format_value(change.before.value),
                format_value(now.value),
                f"{change.ratio:.2f}",
                f"{min(change.ratios):.2f} to {max(change.ratios):.2f}",
                change.verdict,
            ]
        )
    return table(rows, text_columns=3)
