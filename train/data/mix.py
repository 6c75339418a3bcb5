"""The text of a mix, such as "5:3:1 language^0.7 speaker^0.5"; loads no numpy.

A part is either the shares of the datasets, or a column of the index and a power. Utterances are
divided by the datasets first, then by each column in turn, within what they were divided into
before; shares multiply along the way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_SHARES = re.compile(rf"(?:{_NUMBER})(?::(?:{_NUMBER}))+")
_POWER = re.compile(rf"([A-Za-z_]\w*)\^({_NUMBER})")
_LARGEST = 10.0
"""The largest power; powers above 1 favour what is frequent already."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How often utterances come.

    Attributes:
        shares: of the datasets, in their order, above 0 each; empty where nothing is said.
        powers: by column: a value that c utterances have gets a share in proportion to c**power.
    """

    shares: tuple[float, ...]
    powers: dict[str, float]

    @property
    def text(self) -> str:
        """The mix as it is recorded, whatever order its parts were given in."""
        parts = [":".join(f"{share:g}" for share in self.shares)] if self.shares else []
        return " ".join([*parts, *(f"{name}^{power:g}" for name, power in self.powers.items())])


def parse_mix(parts: Iterable[str]) -> Mix:
    """Parse the parts of a mix.

    Args:
        parts: such as "5:3:1" and "speaker^0.5", in any order; several may stand in one text.

    Raises:
        ValueError: a part is neither, a share is 0, a power is too large, or two parts are about
            the same; the message says what to write.
    """
    shares: tuple[float, ...] = ()
    powers: dict[str, float] = {}
    for part in " ".join(parts).split():
        if _SHARES.fullmatch(part):
            if shares:
                raise ValueError(
                    f"the mix {part} is the second one of datasets; give one share for each "
                    "dataset in a single --mix"
                )
            shares = tuple(map(float, part.split(":")))
            if not all(0 < share < math.inf for share in shares):
                raise ValueError(
                    f"the mix {part} has a share of 0; leave that dataset out of the command"
                )
        elif found := _POWER.fullmatch(part):
            name, power = found[1], float(found[2])
            if name in powers:
                raise ValueError(f"the mix names {name} twice; give it one power")
            if power > _LARGEST:
                raise ValueError(f"the mix {part} has a power above {_LARGEST:g}")
            powers[name] = power
        else:
            raise ValueError(
                f"a mix is either shares of the datasets, such as 5:3:1, or a column and a power "
                f"from 0 to {_LARGEST:g}, such as speaker^0.5; got {part!r}"
            )
    return Mix(shares=shares, powers=powers)
