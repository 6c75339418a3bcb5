"""The command line of ns2; every heavy import is inside its command."""

from __future__ import annotations

import click


@click.group()
def main() -> None:
    """From raw recordings to a trained NaturalSpeech 2 model."""
