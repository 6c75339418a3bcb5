"""Codecs: training one, opening one, and measuring what it loses."""
