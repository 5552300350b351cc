"""What an optimizer remembers, as named tensors that a checkpoint can hold."""

from collections.abc import Mapping

from torch import Tensor
from torch.optim import Optimizer


def moments(optimizer: Optimizer) -> dict[str, Tensor]:
    """What the optimizer remembers, each tensor named by its parameter's number and its own name."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def load_moments(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `moments` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
