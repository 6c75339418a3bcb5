"""Files of manifests that were written in another folder than the one where they lie now."""

from __future__ import annotations

from ns2.pipeline.corpora.folders import Lookup

_ABOVE = 4


class Origins:
    """Finds the files that a manifest names, whose paths may be relative to a folder above it.

    Recipes of toolkits write paths relative to the folder in which they ran; their manifests lie in
    a folder below, such as `data/train`.
    """

    def __init__(self, lookup: Lookup, folder: str = "") -> None:
        """Take a manifest's folder, relative to the corpus."""
        self._lookup = lookup
        self._here = f"{folder}/" if folder else ""
        self._starts = [self._here + "../" * depth for depth in range(_ABOVE + 1)]

    def find(self, written: str) -> tuple[str, bool]:
        """A file by its path as the manifest has it: (source, whether the file exists)."""
        if written.startswith("/"):
            return self._lookup.file(written)
        for start in self._starts:
            source, there = self._lookup.file(start + written)
            if there:
                # the next file most likely begins there, too
                self._starts.remove(start)
                self._starts.insert(0, start)
                return source, True
        return self._lookup.file(self._here + written)
