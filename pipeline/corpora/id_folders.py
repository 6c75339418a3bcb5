"""Speakers and splits of a table that names none, by the folders in front of its ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ns2.pipeline.core.schema import Utterance
from ns2.pipeline.corpora.columns import Columns
from ns2.pipeline.corpora.corpus import Find, split_of
from ns2.pipeline.corpora.folders import first_names
from ns2.pipeline.corpora.kinds import SPLIT, kind_of

_SHARED = 2  # ids of a folder, on average, from which on its name may be a speaker's


def with_folders(finds: Sequence[Find], columns: Columns) -> tuple[list[Find], list[str]]:
    """Give utterances the folder of their id as speaker or split, where no column names one.

    That is done where each id has one folder in front ("anna/0001") and several ids share it. What
    was done, or that it was not, is a sentence for the user.
    """
    found = [find for find in finds if isinstance(find, Utterance)]
    folders = Counter(find.id.rpartition("/")[0] for find in found)
    if "speaker" in columns.more or not any(folders):
        return list(finds), []
    names = sorted(folders)
    shown = first_names(list(filter(None, names)))
    shared = len(found) >= _SHARED * len(folders)
    single = shared and len(folders) > 1 and not any("/" in name or not name for name in names)
    kind = kind_of(names)
    if single and kind == SPLIT and "split" not in columns.more:
        return [_with(find, split=True) for find in finds], [
            f"the folders in front of the ids are taken as the split: {shown}"
        ]
    if single and not kind:
        return [_with(find) for find in finds], [
            f"no column names a speaker: the folders in front of the ids are taken: {shown}"
        ]
    return list(finds), [
        f"no column names a speaker, and the folders in front of the ids ({shown}) may not be "
        "speakers: all utterances have one. Name others in a column (--fields speaker=3) or in a "
        "manifest"
    ]


def _with(find: Find, *, split: bool = False) -> Find:
    """A find with the folder of its id as its speaker, or its split."""
    folder = find.id.rpartition("/")[0]
    if not isinstance(find, Utterance) or not folder:
        return find
    return replace(find, split=split_of(folder) or "") if split else replace(find, speaker=folder)
