"""What changes during a run: the adapter's weights, the optimizer's moments and the weights' moving average."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from rewardkit.errors import UserError
from rewardkit.training.processes import ALONE, Processes
from rewardkit.types import Scalar


class Learner:
    """AdamW with linear warm-up over the adapter, gradient clipping, and an EMA of the weights (0 for none)."""

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], *, lr: float, warmup: int, clip: float, ema: float,
        world: Processes = ALONE,
    ) -> None:  # fmt: skip
        self.parameters = dict(parameters)
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=lr, weight_decay=0.0, fused=True)
        self.lr, self.warmup, self.clip = lr, warmup, clip
        self.ema = EMAModel(self.parameters.values(), decay=ema, foreach=True) if ema else None
        self.step, self.world = 0, world

    def update(self, loss: Scalar) -> float:
        """Descend once; return the gradient's norm before clipping, and stop on one that is not finite.

        Of several processes each gives its part of the loss, and all descend its sum.
        """
        self.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:  # it does not once every reward is past its target and nothing else pulls
            loss.backward()
        self.world.sum_gradients(self.parameters.values())
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not norm.isfinite():
            whole = sum(self.world.gather(loss.item()))
            raise UserError(
                f"update {self.step + 1}: the gradient's norm is {norm.item()} and the loss {whole:.3g}; lower --lr, "
                "or use --dtype float32; the last checkpoint is intact"
            )
        nn.utils.clip_grads_with_norm_(self.parameters.values(), self.clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * min(1.0, (self.step + 1) / max(1, self.warmup))
        self.optimizer.step()
        if self.ema is not None:
            self.ema.step(self.parameters.values())
        self.step += 1
        return norm.item()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the adapter holds the averaged weights."""
        if self.ema is None:
            yield
            return
        self.ema.store(self.parameters.values())
        self.ema.copy_to(self.parameters.values())
        try:
            yield
        finally:
            self.ema.restore(self.parameters.values())

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Copy weights into the adapter, by name; those not given stay."""
        for name, value in weights.items():
            self.parameters[name].data.copy_(value)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Everything to go on from, as named tensors."""
        moments = {
            f"{name}/{key}": value
            for name, parameter in self.parameters.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        state = {"adapter": {name: parameter.detach() for name, parameter in self.parameters.items()}}
        if moments:
            state["optimizer"] = moments
        if self.ema is not None:
            state["ema"] = dict(zip(self.parameters, self.ema.shadow_params, strict=True))
        return state

    def load(self, step: int, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up a saved state; raise `UserError` where it is of another adapter."""
        for name, parameter in self.parameters.items():
            saved = state["adapter"].get(name)
            if saved is None or saved.shape != parameter.shape:
                raise UserError(
                    "the checkpoint holds an adapter of another rank or other layers; resume with the same "
                    "--rank and --target-modules, or start in another folder"
                )
            parameter.data.copy_(saved)
        for key, value in state.get("optimizer", {}).items():
            name, _, moment = key.rpartition("/")
            self.optimizer.state[self.parameters[name]][moment] = value.to(self.parameters[name].device).clone()
        if self.ema is not None and "ema" in state:
            self.ema.shadow_params = [state["ema"][name].to(p).clone() for name, p in self.parameters.items()]
            self.ema.optimization_step = step
        self.step = step
