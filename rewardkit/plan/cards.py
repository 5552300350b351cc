"""Figures of GPUs from their data sheets: dense, without sparsity."""

from collections.abc import Mapping
from dataclasses import dataclass

from rewardkit.plan.dry import Account


@dataclass(frozen=True)
class Card:
    """One device."""

    memory: float
    """GiB."""
    half: float
    """Peak of bfloat16 and float16 matrix products with float32 accumulation, 10^12 FLOP/s."""
    tf32: float
    """Peak of TF32, which torch's convolutions in float32 use by default."""
    single: float
    """Peak of float32, which torch's matrix products in float32 use by default."""
    bandwidth: float
    """Memory bandwidth, 10^9 bytes/s."""


CARDS = {
    "rtx-3090": Card(24.0, 71.0, 35.6, 35.6, 936.0),
    "rtx-4090": Card(24.0, 165.0, 82.6, 82.6, 1008.0),
    "rtx-5090": Card(32.0, 210.0, 105.0, 105.0, 1792.0),
    "l4": Card(24.0, 121.0, 60.0, 30.3, 300.0),
    "a10": Card(24.0, 125.0, 62.5, 31.2, 600.0),
    "l40s": Card(48.0, 362.0, 183.0, 91.6, 864.0),
    "a100-40gb": Card(40.0, 312.0, 156.0, 19.5, 1555.0),
    "a100-80gb": Card(80.0, 312.0, 156.0, 19.5, 2039.0),
    "h100": Card(80.0, 989.0, 495.0, 67.0, 3350.0),
    "h200": Card(141.0, 989.0, 495.0, 67.0, 4800.0),
}
"""Names for --card."""


def seconds(account: Account, card: Card, share: float) -> float:
    """Estimate the time of a phase: FLOPs at a fraction of each peak, plus the bytes of all other operators.

    Eager operators run one after another, so the two times add up.
    """
    busy = sum(flops / peak(card, *kind) for kind, flops in account.flops.items()) / (share * 1e12)
    return busy + account.traffic / (card.bandwidth * 1e9)


def peak(card: Card, dtype: str, kind: str) -> float:
    if dtype in ("bfloat16", "float16"):
        return card.half
    return card.tf32 if kind == "conv" else card.single


def totals(accounts: Mapping[str, Account]) -> int:
    """FLOPs of all phases."""
    return sum(sum(account.flops.values()) for account in accounts.values())
