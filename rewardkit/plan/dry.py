"""Run real modules on tensors without data, and account for what a device would store, compute and move.

Floating-point tensors are on torch's meta device: they have shapes and storages, but no memory. Integers, masks and
noise levels stay real, because models read lengths, positions and timesteps from them. Everything is counted at each
operator that autograd and the modules really call, so nothing about a network has to be guessed.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
META, CPU = torch.device("meta"), torch.device("cpu")

SMALL = 4096
"""Longest list of floats that stays real, because families look up noise levels in such lists."""

Kernels = Literal["cuda", "cpu"]
"""Device whose fused operators are used; a CPU has no fused RMSNorm and saves more for the backward pass."""

CONVOLUTIONS = {aten.convolution, aten.convolution_backward}


@dataclass
class Account:
    """The account of one phase."""

    resident: int = 0
    """Bytes alive at its end."""
    peak: int = 0
    """Peak bytes alive at any of its operators."""
    flops: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(dtype, "matmul" or "conv") -> floating point operations."""
    traffic: int = 0
    """Bytes that the operators without FLOPs (normalisation, activations, casts) read and write."""


class DryRun(TorchDispatchMode):
    """Context in which every operator is accounted to the current phase."""

    def __init__(self, kernels: Kernels = "cuda") -> None:
        super().__init__()
        self.kernels = kernels
        self.live = 0
        self.phases: dict[str, Account] = {}
        self._open = Account()
        self._storages: dict[int, Any] = {}
        self._fused = ExitStack()

    def __enter__(self) -> "DryRun":
        self._fused.enter_context(fused_operators(self.kernels))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._fused.close()

    @contextmanager
    def phase(self, name: str) -> Iterator[Account]:
        """Account the block to `name`."""
        before, self._open = self._open, self.phases.setdefault(name, Account())
        self._open.peak = max(self._open.peak, self.live)
        try:
            yield self._open
        finally:
            self._open.resident = self.live
            self._open = before

    def leave_out(self, *modules: nn.Module) -> None:
        """Do not count existing memory: the weights and buffers of these modules."""
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                self._storages[tensor.untyped_storage()._cdata] = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = reconcile(func, args, kwargs or {})
        out = func(*args, **kwargs)
        if kwargs.get("device") == META and isinstance(out, Tensor) and is_small(out):
            out = func(*args, **{**kwargs, "device": CPU})
        self._count(func, args, kwargs, out)
        return out

    def _count(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        for tensor in tensors_of(out):
            self._see(tensor)
        self._open.peak = max(self._open.peak, self.live)
        formula: Callable[..., int] | None = flop_registry.get(func._overloadpacket)
        if formula is not None:
            first = next(iter(tensors_of(args)))
            kind = "conv" if func._overloadpacket in CONVOLUTIONS else "matmul"
            self._open.flops[str(first.dtype).removeprefix("torch."), kind] += formula(*args, **kwargs, out_val=out)
        elif not is_view(func):
            self._open.traffic += sum(map(size_of, [*tensors_of((args, kwargs)), *tensors_of(out)]))

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages:
            return
        size = storage.nbytes()
        self.live += size

        def freed(_: object) -> None:
            self.live -= size
            self._storages.pop(key, None)

        self._storages[key] = weakref.ref(storage, freed)


@contextmanager
def fused_operators(kernels: Kernels) -> Iterator[None]:
    """Use the operators that a device has for attention and RMSNorm: attention never stores the T x T matrix.

    The functions in torch are replaced temporarily. A torch mode would be suspended in the backward pass,
    and layers that are recomputed there would use other operators than before.
    """
    before = F.scaled_dot_product_attention, torch.rms_norm
    F.scaled_dot_product_attention = attention
    if kernels == "cuda":
        torch.rms_norm = fused_rms_norm  # type: ignore[assignment]
    try:
        yield
    finally:
        F.scaled_dot_product_attention, torch.rms_norm = before


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention by the memory-efficient operator, on shapes only."""
    if enable_gqa and (groups := query.shape[-3] // key.shape[-3]) > 1:
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    if attn_mask is not None:
        attn_mask = torch.zeros(attn_mask.shape, dtype=query.dtype, device=META)
        attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
    lead = query.shape[:-3]
    four = [tensor.reshape(-1, *tensor.shape[-3:]) for tensor in (query, key, value)]
    out: Tensor = aten._scaled_dot_product_efficient_attention(
        *four, attn_mask, torch.is_grad_enabled(), dropout_p, is_causal, scale=scale
    )[0]
    return out.reshape(*lead, *out.shape[-3:])


def fused_rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """RMSNorm by its fused operator, on shapes only."""
    out: Tensor = aten._fused_rms_norm(input, list(normalized_shape), weight, eps)[0]
    return out


def reconcile(func: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Move an operator's real arguments to the meta device if other arguments are there."""
    if all(tensor.device == CPU for tensor in tensors_of((args, kwargs))):
        return args, kwargs
    if kwargs.get("device") is not None:
        kwargs = {**kwargs, "device": META}
    if func._overloadpacket in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
        args = (args[0], [part for index in args[1] for part in as_positions(index)], *args[2:])
    return tree_map(to_meta, args), tree_map(to_meta, kwargs)


def as_positions(index: Tensor | None) -> tuple[Tensor | None, ...]:
    """Convert a mask to the selected positions, whose number is a shape that only a real mask has."""
    if index is None or index.dtype != torch.bool or index.device == META:
        return (index,)
    return tuple(index.nonzero().unbind(1))


def to_meta(value: Any) -> Any:
    return value.to(META) if isinstance(value, Tensor) and value.device == CPU else value


def tensors_of(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def is_small(tensor: Tensor) -> bool:
    """Whether a tensor made from no or only real tensors is real: integers, masks, lists of noise levels."""
    floating = tensor.is_floating_point() or tensor.is_complex()
    return not floating or (tensor.ndim < 2 and tensor.numel() <= SMALL)


def is_view(func: Any) -> bool:
    """Whether an operator moves no data."""
    infos = [argument.alias_info for argument in func._schema.arguments if argument.alias_info is not None]
    return any(not info.is_write for info in infos)


def size_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
