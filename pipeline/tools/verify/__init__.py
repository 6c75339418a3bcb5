"""`ns2 verify`: whether every file, array and row of a dataset is what was written.

`check` drives it: `small_files` verifies card, checksums, ledger and assets, `index_file` the
index, `shard` one shard after another (`tar` its bytes, `values` what its arrays say). Whatever is
wrong becomes a `fault`.
"""
