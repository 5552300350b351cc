"""The trained state of a run: weights, optimizer moments and the moving average of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.optim import Optimizer

from rewardkit.errors import UserError
from rewardkit.training.average import Average, put
from rewardkit.training.optimizer_state import load_moments, moments
from rewardkit.training.processes import ALONE, Processes
from rewardkit.training.schedule import Schedule
from rewardkit.types import Scalar


class Learner:
    """Named parameters with their optimizers (by the names a checkpoint gives them), schedule, clipping and average.

    `clip` is the largest norm of the gradient over all parameters; without an `average` the last weights count.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        optimizers: Mapping[str, Optimizer],
        schedule: Schedule,
        *,
        clip: float = 1.0,
        average: Average | None = None,
        world: Processes = ALONE,
    ) -> None:
        self.parameters, self.optimizers, self.schedule = dict(parameters), optimizers, schedule
        self.clip, self.average, self.world = clip, average, world
        self.step = 0
        """Updates done."""

    def update(self, loss: Scalar) -> float:
        """Run one optimizer step; return the gradient norm before clipping, and raise if it is not finite.

        With several processes each passes its part of the loss, and all descend the sum.
        """
        self.clear()
        if loss.requires_grad:  # False once every reward is past its target and there is no other loss
            loss.backward()
        return self.descend(loss)

    def clear(self) -> None:
        """Clear the gradients."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    def descend(self, loss: Tensor | float) -> float:
        """Step with existing gradients; the loss is only used in the message if they are not finite."""
        self.world.sum_gradients(self.parameters.values())
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not norm.isfinite():
            whole = sum(self.world.gather(loss.item() if isinstance(loss, Tensor) else loss))
            raise UserError(
                f"update {self.step + 1}: the gradient's norm is {norm.item()} and the loss {whole:.3g}; lower --lr, "
                "or use --dtype float32; the last checkpoint is intact"
            )
        nn.utils.clip_grads_with_norm_(self.parameters.values(), self.clip, norm)
        for optimizer in self.optimizers.values():
            self.schedule(optimizer, self.step)
            optimizer.step()
        if self.average is not None:
            self.average.update()
        self.step += 1
        return norm.item()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Context in which the parameters have the averaged values."""
        if self.average is None:
            yield
            return
        with self.average.swapped():
            yield

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The state for a resume, as named tensors."""
        state = {"weights": {name: parameter.detach() for name, parameter in self.parameters.items()}}
        state |= {name: moments(optimizer) for name, optimizer in self.optimizers.items()}
        if self.average is not None:
            state["average"] = self.average.weights
        return state

    def load(self, step: int, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore the state after `step` updates; raise `UserError` if it is of other weights."""
        saved = state.get("weights", {})
        for name, parameter in self.parameters.items():
            if name not in saved or saved[name].shape != parameter.shape:
                there = f"of shape {tuple(saved[name].shape)}" if name in saved else "missing"
                raise UserError(
                    f"the checkpoint has other weights: {name} is {there}, not of shape {tuple(parameter.shape)}; "
                    "resume with the options of the run's config.toml, or start in another folder (--out)"
                )
        put(self.parameters, {name: saved[name] for name in self.parameters})
        for name, optimizer in self.optimizers.items():
            load_moments(optimizer, state[name])
        if self.average is not None:
            self.average.load(state.get("average", saved), step)
        self.step = step
