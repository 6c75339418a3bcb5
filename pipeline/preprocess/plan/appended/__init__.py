"""Parquet files to which rows are added, while what is there stays as it is."""
