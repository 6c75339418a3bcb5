"""How the files that ship with the package are made: networks, and the phoneme table."""
