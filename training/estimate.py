"""What a recipe costs before anyone spends a night on it: parameters, latents, arithmetic and memory.

Nothing is allocated: the model is built and run on fake tensors, which have a shape and a type but no numbers.

FLOPs are those of convolutions and matrix products, a multiplication with its addition being two. Activations are
what the backward pass keeps, counted as autograd saves it, once for each tensor; so they are those of eager
PyTorch, and `schedule.compile` needs less. An allocator's slack and the work space of its kernels come on top.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode  # as torch's own documentation imports it
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from training.activations import checkpoint_activations, checkpointed
from training.latents import LatentShape
from training.models.contract import HierarchicalVAE
from training.models.families import build
from training.objective import bound
from training.recipe import Recipe

FLOAT = 4  # bytes
WORKING_TENSORS = 6  # as large as the largest: a bottleneck reads one, writes one, and holds states meanwhile
GRAPHS = 1_000_000  # bytes of a bundle's two graphs without weights, manifest and examples, roughly


class Estimate(NamedTuple):
    """FLOPs and bytes of a recipe."""

    parameters: int
    decoder_parameters: int  # what a prior pass reads
    shapes: list[LatentShape]  # from the top
    step_flops: int  # of one training step, per image
    decoder_flops: int  # of one prior pass, per image
    activations: int  # bytes that the backward pass needs, per image
    casts: int  # the same, whatever the batch: weights in the type of the convolutions
    batch_size: int
    steps: int
    decoder_working_set: int  # bytes of one prior pass, per image

    @property
    def latents(self) -> int:
        """N, the length of a packed latent vector."""
        return sum(shape.size for shape in self.shapes)

    @property
    def training_state(self) -> int:
        """Bytes of weights, gradients, two moments of the optimiser and the moving average."""
        return 5 * FLOAT * self.parameters

    @property
    def training_memory(self) -> int:
        return self.training_state + self.casts + self.batch_size * self.activations

    @property
    def training_flops(self) -> int:
        return self.steps * self.batch_size * self.step_flops


def estimate(recipe: Recipe) -> Estimate:
    """The costs of training the model of `recipe`, and of decoding with it."""
    with FakeTensorMode():
        model = build(recipe.model)
        with FlopCounterMode(display=False) as decoding, LargestTensor(model) as largest:
            output = _decode(model.eval(), 1)
        output.sum().backward()
        read = [parameter.numel() for parameter in model.parameters() if parameter.grad is not None]
        model.train()
        again = checkpointed(model) if recipe.schedule.checkpoint_activations else []
        if again:
            checkpoint_activations(model)
        mapping = {torch.ops.aten.convolution_backward: convolution_backward_flops}
        with FlopCounterMode(display=False, custom_mapping=mapping) as training:
            two = _saved_bytes(model, lambda: _step(model, recipe, 2), again)  # batch norm has no use for one image
        three = _saved_bytes(model, lambda: _step(model, recipe, 3), again)
    return Estimate(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        decoder_parameters=sum(read),
        shapes=model.shapes,
        step_flops=training.get_total_flops() // 2,
        decoder_flops=decoding.get_total_flops(),
        activations=three - two,
        casts=3 * two - 2 * three,
        batch_size=recipe.schedule.batch_size,
        steps=recipe.schedule.steps,
        decoder_working_set=_packed(model) + WORKING_TENSORS * largest.nbytes,
    )


def _latents(model: HierarchicalVAE, batch: int) -> list[Tensor]:
    return [torch.zeros(batch, *shape) for shape in model.shapes]


def _decode(model: HierarchicalVAE, batch: int) -> Tensor:
    zeros = _latents(model, batch)
    parameters, _ = model.decode(zeros, zeros, [z.bool() for z in zeros], torch.ones(batch, len(zeros)))
    return parameters


def _step(model: HierarchicalVAE, recipe: Recipe, batch: int) -> None:
    """The objective of `training.trainer` and its gradient."""
    config = recipe.model
    image = torch.zeros(batch, config.image_channels, config.image_size, config.image_size)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.schedule.precision == "bfloat16"):
        terms, _ = bound(model, config.likelihood, image, _latents(model, batch))
    terms.nats.mean().backward()


def _saved_bytes(model: HierarchicalVAE, run: Callable[[], None], again: Sequence[nn.Module]) -> int:
    """Bytes kept for the backward pass of `run`, every storage once; not the weights, of `again` only the inputs."""
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    saved: dict[int, Any] = {}  # keeps the storages alive, so that an address means one storage

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = storage
        return tensor

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for tensor in inputs:
            pack(tensor)

    hooks = [block.register_forward_pre_hook(keep) for block in again]  # their inputs are saved past autograd's hooks
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    for hook in hooks:
        hook.remove()
    return sum(storage.nbytes() for storage in saved.values())


def convolution_backward_flops(
    gradient: Sequence[int], image: Sequence[int], weight: Sequence[int], *arguments: Any, **_: Any
) -> int:
    """FLOPs of a convolution's gradients, each as many as the convolution itself has.

    torch's own formula forgets groups, so that it counts a depthwise convolution as many times as it has channels.
    `arguments` are those of the operator after the weight, from the bias sizes to the mask of gradients wanted.
    """
    transposed, wanted = arguments[4], arguments[-1]
    positions = math.prod((image if transposed else gradient)[2:]) * gradient[0]
    return 2 * positions * math.prod(weight) * (int(wanted[0]) + int(wanted[1]))


def _packed(model: HierarchicalVAE) -> int:
    """Bytes of one image's inputs and outputs of the decoder: noise, given, keep; latents, mean, scale."""
    return sum(shape.size for shape in model.shapes) * (5 * FLOAT + 1)


class LargestTensor(TorchDispatchMode):
    """Notes the size in bytes of the largest tensor that any operator makes; views of the weights are none."""

    def __init__(self, model: HierarchicalVAE) -> None:
        super().__init__()
        self.weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        self.nbytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.weights:
                self.nbytes = max(self.nbytes, tensor.nbytes)
        return result


def describe(recipe: Recipe, found: Estimate) -> str:
    """`found` as text, for a terminal."""
    levels, numbers = Counter[str](), Counter[str]()
    for shape in found.shapes:
        group = f"{shape.height}x{shape.width}"
        levels[group] += 1
        numbers[group] += shape.size
    lines = [
        f"{recipe.name}: {recipe.summary}",
        "",
        f"parameters           {found.parameters:>15,}",
        f"latents              {found.latents:>15,} in {len(found.shapes)} levels",
    ]
    lines += [f"  {group:<19}{numbers[group]:>15,} in {levels[group]}" for group in levels]
    lines += [
        "",
        f"training step        {_flops(found.step_flops):>15} an image, {_flops(found.step_flops * found.batch_size)} "
        f"at batch size {found.batch_size}",
        f"whole training       {_flops(found.training_flops):>15} in {found.steps:,} steps: "
        + ", ".join(f"{_hours(found.training_flops, rate)} at {_flops(rate)}/s" for rate in (10**11, 10**13, 10**14)),
        f"decoder              {_flops(found.decoder_flops):>15} an image",
        "",
        f"memory of training   {_bytes(found.training_memory):>15} at batch size {found.batch_size}",
        f"  weights, gradients, optimiser, average {_bytes(found.training_state)}; weights cast {_bytes(found.casts)}; "
        f"activations {_bytes(found.activations)} an image (eager; compiled needs less)",
        f"memory of decoding   {_bytes(found.decoder_parameters * FLOAT + found.decoder_working_set):>15} "
        f"at batch size 1, {_bytes(found.decoder_working_set)} more an image",
        f"bundle               {_bytes(found.parameters * FLOAT + GRAPHS):>15}, with float16 weights "
        f"{_bytes(found.parameters * FLOAT // 2 + GRAPHS)}",
    ]
    return "\n".join(lines)


def _flops(count: float) -> str:
    return _scaled(count, 1000, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP"))


def _bytes(count: float) -> str:
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def _scaled(count: float, step: int, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if count < step:
            return f"{count:.3g} {unit}" if count < 100 else f"{count:.0f} {unit}"
        count /= step
    return f"{count:.3g} {units[-1]}"


def _hours(flops: float, rate: float) -> str:
    hours = flops / rate / 3600
    if hours < 1:
        return f"{math.ceil(hours * 60)} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"
