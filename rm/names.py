"""Names of choices on the command line; imports no torch."""

from typing import Literal

Kind = Literal["heads", "cosine"]

Loss = Literal["bradley-terry", "rao-kupper", "davidson", "plackett-luce", "gaussian"]
