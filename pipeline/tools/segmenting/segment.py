"""`ns2 segment`: from a folder of long recordings with their texts to a corpus of utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.core.atomic import remove_temporaries
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.layout import lock
from ns2.pipeline.tools.segmenting.kept import LEFT_OUT, MANIFEST, Kept
from ns2.pipeline.tools.segmenting.pieces import Segmented, segment_recording
from ns2.pipeline.tools.segmenting.recordings import Recording, find_recordings
from ns2.pipeline.tools.tool_options import SegmentOptions


@dataclass(frozen=True, kw_only=True)
class SegmentSummary:
    """What a run found.

    Attributes:
        recordings: all of them.
        whole: the names of those that were left out as a whole, and why.
        pieces: utterances.
        seconds, kept_seconds: of all recordings, and of all pieces.
        words: words that are left out of recordings that are used, by reason.
        unwritten: seconds of sound that no word stands for.
    """

    recordings: int
    whole: dict[str, str]
    pieces: int
    seconds: float
    kept_seconds: float
    words: dict[str, int]
    unwritten: float

    def render(self, out: Path) -> str:
        """What was found, for people."""
        lines = [
            f"{out / MANIFEST}: {self.pieces} utterances, {self.kept_seconds / 60:.1f} of "
            f"{self.seconds / 60:.1f} min, from {self.recordings - len(self.whole)} of "
            f"{self.recordings} recordings"
        ]
        lines += [f"  left out: {name}: {why}" for name, why in self.whole.items()]
        lines += [f"  left out: {count} words ({reason})" for reason, count in self.words.items()]
        if self.unwritten:
            lines.append(f"  left out: {self.unwritten:.1f} s of sound that is not in the text")
        if len(lines) > 1:
            lines.append(f"{out / LEFT_OUT} says what was left out, where and why")
        return "\n".join(lines)


def segment(path: Path, out: Path, options: SegmentOptions, progress: Progress) -> SegmentSummary:
    """Cut long recordings into utterances, or bring a corpus that was cut before up to date.

    Args:
        path: a recording with a text beside it, or a folder of such.
        out: the folder of the corpus; made where it does not exist.

    Raises:
        UserError: there are no recordings, or nothing of them can be used.
    """
    _check_language(options.language)
    recordings, notes = find_recordings(path.absolute())
    for note in notes:
        progress.note(f"warning: {note}")
    kept = Kept(out.absolute(), options)
    with lock(kept.lock_file, out):
        for folder in (kept.out, kept.folder):
            remove_temporaries(folder)
        progress.phase("cutting recordings", len(recordings), unit="recordings")
        done = [(recording, _done(recording, kept, options, progress)) for recording in recordings]
        kept.publish(done)
    summary = _summary(done)
    if not summary.pieces:
        raise UserError(f"nothing of {path} can be used:\n{summary.render(out)}")
    return summary


def _done(
    recording: Recording, kept: Kept, options: SegmentOptions, progress: Progress
) -> Segmented:
    """What an earlier run, or this one, made of a recording."""
    found = kept.find(recording)
    if found is not None:
        progress.advance(utterances=1, idle=True)
        return found
    seen = kept.seen(recording)
    found = segment_recording(recording, options, lambda seconds: progress.advance(seconds=seconds))
    kept.keep(recording, seen, found)
    progress.advance(utterances=1, rejected=bool(found.whole))
    if found.whole:
        progress.note(f"left out: {recording.name}: {found.whole}")
    return found


def _check_language(language: str) -> None:
    from difflib import get_close_matches

    from ns2.pipeline.text.engine import languages

    if language not in languages():
        near = get_close_matches(language, languages(), n=4, cutoff=0.4)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise OptionError(f"--language {language}: espeak-ng has no such voice{hint}")


def _summary(done: Sequence[tuple[Recording, Segmented]]) -> SegmentSummary:
    words = Counter[str]()
    unwritten = 0.0
    for _, found in done:
        for row in found.left_out if not found.whole else ():
            words[row.reason] += row.words
            unwritten += row.end - row.start if not row.words else 0.0
    return SegmentSummary(
        recordings=len(done),
        whole={recording.name: found.whole for recording, found in done if found.whole},
        pieces=sum(len(found.pieces) for _, found in done),
        seconds=sum(found.seconds for _, found in done),
        kept_seconds=sum(piece.end - piece.start for _, found in done for piece in found.pieces),
        words={reason: count for reason, count in sorted(words.items()) if count},
        unwritten=unwritten,
    )
