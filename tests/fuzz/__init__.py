"""What ns2 does with inputs that are nearly right: a result or one of its errors, soon, in bounds.

    python -m tests.fuzz.run --seconds 3600              # all targets, each its share of the time
    python -m tests.fuzz.run --target textgrid --inputs 20000 --seed 7

`targets_*.py` hold the targets: valid inputs, and a function that reads one of them. `mutations.py`
spoils the inputs; it draws by hypothesis, so what fails is made small before it is shown.
`test_fuzz.py` gives 20 seconds to all of them, and a minute with `-m large`; what was found on the
way is in `test_found.py`.
"""
