"""What `ns2 align-eval` found, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ns2.pipeline.tools.align_eval.against_truth import COVERED
from ns2.pipeline.tools.align_eval.error_figures import CONFIDENCE, FIGURES, WITHIN

_HEADS = {
    "signed": "median, signed",
    "median": "median",
    "mean": "mean",
    "p90": "90th percentile",
    **{f"within{ms}": f"within {ms} ms" for ms in WITHIN},
}


def render(found: Mapping[str, Any]) -> str:
    """What `evaluate` found, as text; warnings are left to the caller."""
    counts, overall = found["utterances"], found["overall"]
    lines = [
        f"{counts['compared']} utterances compared, {overall['phones']} starts of phones; "
        f"{counts['skipped']} skipped ({found['skipped_share']:.1%}), since their phones differ in "
        f"number; {counts['missing']} not in the dataset"
    ]
    if found["same_symbols"] is not None:
        lines.append(
            f"symbols are those of the truth for {found['same_symbols']:.1%} of the phones"
        )
    if overall["phones"]:
        lines += ["", *_whole_table(overall), *_voice_table(found["voices"])]
    rest = found["agreeing_parts"]
    if rest["phones"]:
        lines += [
            "",
            f"of the skipped ones, {rest['phones']} starts between equal symbols: median "
            f"{rest['median']:.1f}, mean {rest['mean']:.1f} ms (not counted above)",
        ]
    for ms, pauses in found["pauses"].items():
        if pauses["count"]:
            lines.append(
                f"{pauses['found']:.1%} of {pauses['count']} pauses between phones of {ms} ms or "
                f"more lie for {COVERED:.0%} in silence, word borders and punctuation"
            )
    return "\n".join(lines)


def _cell(name: str, value: float) -> str:
    """A figure as it is printed: shares in percent, the others in ms."""
    return f"{value:.1%}" if name.startswith("within") else f"{value:.1f}"


def _whole_table(overall: Mapping[str, Any]) -> list[str]:
    """A line a figure: its value, its interval, and that of cutting evenly."""
    lines = [f"{'all voices, ms':<18}{'':>8}{f'{CONFIDENCE:.0%} interval':>20}{'cut evenly':>14}"]
    for name in FIGURES:
        between = "-"
        if overall["intervals"] is not None:
            between = " to ".join(_cell(name, limit) for limit in overall["intervals"][name])
        lines.append(
            f"  {_HEADS[name]:<16}{_cell(name, overall[name]):>8}{between:>20}"
            f"{_cell(name, overall['even'][name]):>14}"
        )
    return lines


def _voice_table(voices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line a voice, with half the width of each interval; nothing where no voice is known."""
    if not any(voices):
        return []
    heads = ("signed", "median", "mean", "p90", *(f"<={ms} ms" for ms in WITHIN))
    lines = ["", f"{'voice, ms':<14}{'utts':>6}" + "".join(f"{head:>11}" for head in heads)]
    for voice, group in voices.items():
        cells = []
        for name in FIGURES if group["phones"] else ():
            value, spread = _cell(name, group[name]), ""
            if group["intervals"] is not None:
                low, high = group["intervals"][name]
                spread = f" ±{(high - low) / 2 * (100 if name.startswith('within') else 1):.1f}"
            cells.append(f"{value.rstrip('%')}{spread:<5}")
        row = "".join(f"{cell:>11}" for cell in cells)
        lines.append(f"{voice or '(unknown)':<14}{group['utterances']:>6}{row}".rstrip())
    return lines
