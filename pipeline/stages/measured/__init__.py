"""Stages that measure recordings, made where `--quality` or `--columns` asks for them."""
