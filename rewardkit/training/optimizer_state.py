"""The state of an optimizer as named tensors for a checkpoint."""

from collections.abc import Mapping

from torch import Tensor
from torch.optim import Optimizer


def moments(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state, each tensor named by its parameter's index and its own name."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def load_moments(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore the result of `moments`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
