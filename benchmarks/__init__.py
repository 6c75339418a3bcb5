"""Benchmarks of ns2: figures are ratios within one run, with the machine named.

`python -m benchmarks.NAME` runs the benchmark of that name, in whichever folder its module is.
"""

from pathlib import Path

__path__ += [str(path.parent) for path in sorted(Path(__file__).parent.glob("*/__init__.py"))]
