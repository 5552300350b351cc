"""Names of devices and precisions, and what is refused in one line."""

import pytest
import torch

from rewardkit.errors import UserError
from rewardkit.training.device import pick_device, pick_dtype

GPUS = torch.cuda.device_count()


def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert pick_device("auto") == pick_device() == torch.device("cuda" if GPUS else "cpu")
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device(torch.device("meta")) == torch.device("meta")  # the caller's own affair


def test_auto_is_bfloat16_on_a_gpu_alone() -> None:
    assert pick_dtype("auto", "cpu") == torch.float32
    assert pick_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert pick_dtype("float16", "cpu") == torch.float16


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "CPU", "0"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UserError, match=f"no device is called {name!r}; devices are auto, cpu, cuda"):
        pick_device(name)


@pytest.mark.parametrize("name", [f"cuda:{GPUS}", "cuda:7", "mps", "meta", "xpu"])
def test_a_device_that_is_not_here(name: str) -> None:
    with pytest.raises(UserError, match=r"is not here|cannot be used"):
        pick_device(name)
