"""How the files that ship with ns2 are made."""
