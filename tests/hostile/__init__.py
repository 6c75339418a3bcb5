"""Datasets and runs of strangers that mean harm: `python -m pytest -m 'hostile or not hostile'`.

`kinds/` makes them, a function each, a file for each family. Every one is sealed: all checksums are
those of its content, so nothing but its content gives it away. `attempt.py` calls commands on one
of them in a process of its own; the tests watch a folder beside it, the time and the memory.
"""
