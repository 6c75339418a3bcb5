"""Import of ns2 from a checkout that is not installed, with stand-ins for absent packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def make_importable(repo: Path, folder: Path) -> None:
    """Make `import ns2` work from a checkout, in this process and in those that it starts.

    Args:
        repo: the root of the checkout.
        folder: an empty folder, which takes links to the packages and the stand-ins.
    """
    package = folder / "ns2"
    package.mkdir()
    for name in ("cli.py", "model", "pipeline", "train"):
        (package / name).symlink_to((repo / name).resolve())
    # ns2 looks up its own version.
    metadata = folder / "ns2-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ns2\nVersion: 0.1.0\n")
    try:
        import isal.isal_zlib  # noqa: F401
    except ImportError:
        stand_in = folder / "isal"
        stand_in.mkdir()
        (stand_in / "__init__.py").write_text("")
        (stand_in / "isal_zlib.py").write_text("from zlib import *\nfrom zlib import crc32\n")
    paths = [str(folder), str(repo.resolve())]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
