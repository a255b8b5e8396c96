"""NVAE (Vahdat & Kautz 2020, arXiv:2007.03898), written from the paper's equations; published weights load into it.

A bottom-up encoder leaves one state for each group of latents. The decoder starts from a learned state h and walks
through its groups from the coarsest scale; every group is one level:

    p(z_k|z_<k) = N(s_k)        q(z_k|z_<k, x) = N(s_k + t_k),   t_k from encoder and decoder (residual distribution)
    z_k <- flows(z_k)           only if num_nf > 0, and only in the posterior
    h   <- combine(h, z_k)      then residual cells

N maps raw numbers (m, s) to a Gaussian of mean 5 tanh(m/5) and scale exp(5 tanh(s/5)) + 0.01. The first group's
raw prior is zero, so its scale is 1.01.

Channels double with each halving of the resolution. Names of the configuration, and those of the modules, are the
published ones. Beyond the published model, `pad` and `patch` fit small grey images, as in `training.models.vdvae`:
pixels are padded with black, then each patch x patch square becomes channels.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.distributions import kl_normal
from training.latents import LatentShape, choose
from training.models.contract import (
    Activations,
    HierarchicalVAE,
    ModelConfig,
    Normal,
    PosteriorLevel,
    PriorLevel,
)
from training.models.flows import FlowPair, MaskedConv2d
from training.models.nvae_cells import (
    Cell,
    DecoderCell,
    DecoderCombiner,
    EncoderCell,
    EncoderCombiner,
    WNConv2d,
)

DECODER_EXPANSION, POSTPROCESS_EXPANSION = 6, 3


class NVAEConfig(ModelConfig):
    """Everything that fixes the network. Names are those of the published arguments."""

    family: Literal["nvae"] = "nvae"
    image_channels: Literal[1, 3] = 3
    pad: int = Field(default=0, ge=0)  # black pixels added on each side
    patch: int = Field(default=1, gt=0)  # pixels on the side of one position of the stem
    num_latent_scales: int = Field(gt=0)
    num_groups_per_scale: int = Field(gt=0)  # at the finest scale
    num_latent_per_group: int = Field(default=20, gt=0)  # channels of a level
    ada_groups: bool = False  # each coarser scale has half as many groups ...
    min_groups_per_scale: int = Field(default=1, gt=0)  # ... but at least so many
    num_channels_enc: int = Field(ge=2)  # at the resolution of the image
    num_channels_dec: int = Field(ge=2)
    num_preprocess_blocks: int = Field(default=1, gt=0)  # each halves the resolution before the finest scale
    num_preprocess_cells: int = Field(default=2, gt=0)  # of one block
    num_cell_per_cond_enc: int = Field(default=2, gt=0)  # of one group
    num_cell_per_cond_dec: int = Field(default=2, gt=0)
    num_postprocess_blocks: int = Field(default=1, gt=0)
    num_postprocess_cells: int = Field(default=2, gt=0)
    num_nf: int = Field(default=0, ge=0)  # pairs of flow cells of one group
    use_se: bool = True  # squeeze-and-excitation
    res_dist: bool = True  # the posterior is predicted relative to the prior

    @property
    def halvings(self) -> int:
        """From the stem to the coarsest scale."""
        return self.num_preprocess_blocks + self.num_latent_scales - 1

    @property
    def groups(self) -> list[int]:
        """Groups of each scale, coarsest first."""
        finest_first = [self.num_groups_per_scale]
        while len(finest_first) < self.num_latent_scales:
            halved = max(finest_first[-1] // 2, self.min_groups_per_scale)
            finest_first.append(halved if self.ada_groups else self.num_groups_per_scale)
        return finest_first[::-1]

    @model_validator(mode="after")
    def _check(self) -> NVAEConfig:
        if self.num_preprocess_blocks != self.num_postprocess_blocks:
            raise ValueError(
                f"num_postprocess_blocks {self.num_postprocess_blocks} must equal num_preprocess_blocks "
                f"{self.num_preprocess_blocks}: what is halved on the way up is doubled on the way down"
            )
        padded, unit = self.image_size + 2 * self.pad, self.patch * 2**self.halvings
        if padded % unit:
            raise ValueError(
                f"image_size {self.image_size} + 2 * pad {self.pad} is no multiple of {unit}: patch {self.patch} and "
                f"{self.halvings} halvings (num_preprocess_blocks {self.num_preprocess_blocks}, "
                f"num_latent_scales {self.num_latent_scales})"
            )
        if sum(self.groups) == 1:
            raise ValueError("one group in one scale is no hierarchy; raise num_latent_scales or num_groups_per_scale")
        return self


class NVAE(HierarchicalVAE):
    """The model: keeps the contract of `training.models.contract`."""

    citation = "Vahdat, A. and Kautz, J. NVAE: A Deep Hierarchical Variational Autoencoder. NeurIPS 2020."
    blocks = (Cell,)
    config: NVAEConfig

    def __init__(self, config: NVAEConfig) -> None:
        super().__init__()
        self.config = config
        enc, dec, latents = config.num_channels_enc, config.num_channels_dec, config.num_latent_per_group
        top = 2**config.halvings  # how many times the channels of the stem the coarsest scale has
        size = (config.image_size + 2 * config.pad) // (config.patch * top)
        self.prior_ftr0 = nn.Parameter(torch.rand(top * dec, size, size))  # h, the state that the decoder starts from
        self.stem = WNConv2d(config.image_channels * config.patch**2, enc, 3)
        self.pre_process = self._pre_process()
        self.enc_tower = self._enc_tower()
        self.enc0 = nn.Sequential(nn.ELU(), WNConv2d(top * enc, top * enc, 1), nn.ELU())
        self.enc_sampler, self.dec_sampler = nn.ModuleList(), nn.ModuleList()
        self.nf_cells = nn.ModuleList()  # num_nf of each level
        self.shapes = []
        for scale, groups in enumerate(config.groups):
            for _ in range(groups):
                times = top >> scale
                self.enc_sampler.append(WNConv2d(times * enc, 2 * latents, 3))
                if self.shapes:
                    self.dec_sampler.append(nn.Sequential(nn.ELU(), WNConv2d(times * dec, 2 * latents, 1)))
                self.nf_cells.extend(FlowPair(latents) for _ in range(config.num_nf))
                self.shapes.append(LatentShape(latents, size << scale, size << scale))
        self.dec_tower = self._dec_tower()
        self.post_process = self._post_process()
        parameters = config.likelihood.parameters(config.image_channels) * config.patch**2
        self.image_conditional = nn.Sequential(nn.ELU(), WNConv2d(dec, parameters, 3))

    def _pre_process(self) -> nn.ModuleList:
        config, cells = self.config, nn.ModuleList()
        for block in range(config.num_preprocess_blocks):
            channels = config.num_channels_enc << block
            normal = config.num_preprocess_cells - 1
            cells.extend(EncoderCell(channels, channels, use_se=config.use_se) for _ in range(normal))
            cells.append(EncoderCell(channels, 2 * channels, down=True, use_se=config.use_se))
        return cells

    def _enc_tower(self) -> nn.ModuleList:
        """Cells of the groups, finest first; a combiner stands where a group reads the encoder's state."""
        config, tower = self.config, nn.ModuleList()
        for scale, groups in enumerate(reversed(config.groups)):
            times = 2 ** (config.num_preprocess_blocks + scale)
            enc, dec = times * config.num_channels_enc, times * config.num_channels_dec
            coarsest = scale == config.num_latent_scales - 1
            for group in range(groups):
                cells = config.num_cell_per_cond_enc
                tower.extend(EncoderCell(enc, enc, use_se=config.use_se) for _ in range(cells))
                if not (coarsest and group == groups - 1):  # the last one is read through `enc0`
                    tower.append(EncoderCombiner(enc, dec))
            if not coarsest:
                tower.append(EncoderCell(enc, 2 * enc, down=True, use_se=config.use_se))
        return tower

    def _dec_tower(self) -> nn.ModuleList:
        """Cells of the groups, coarsest first; a combiner stands where a group's latent enters."""
        config, tower = self.config, nn.ModuleList()
        cell = partial(DecoderCell, expansion=DECODER_EXPANSION, use_se=config.use_se)
        for scale, groups in enumerate(config.groups):
            finest = scale == config.num_latent_scales - 1
            channels = config.num_channels_dec << (config.halvings - scale)
            for group in range(groups):
                cells = 0 if scale == group == 0 else config.num_cell_per_cond_dec
                tower.extend(cell(channels, channels) for _ in range(cells))
                tower.append(DecoderCombiner(channels, config.num_latent_per_group))
            if not finest:
                tower.append(cell(channels, channels // 2, up=True))
        return tower

    def _post_process(self) -> nn.ModuleList:
        config, cells = self.config, nn.ModuleList()
        cell = partial(DecoderCell, expansion=POSTPROCESS_EXPANSION, use_se=config.use_se)
        for block in reversed(range(config.num_postprocess_blocks)):
            channels = config.num_channels_dec << block
            cells.append(cell(2 * channels, channels, up=True))
            cells.extend(cell(channels, channels) for _ in range(config.num_postprocess_cells - 1))
        return cells

    def bottom_up(self, image: Tensor) -> Activations:
        """The encoder's state for each level [B, C, H, W], by the level's number."""
        x = self.stem(self._to_network(image))
        for cell in self.pre_process:
            x = cell(x)
        states = []
        for cell in self.enc_tower:
            if isinstance(cell, EncoderCombiner):
                states.append(x)
            else:
                x = cell(x)
        return dict(enumerate([self.enc0(x), *reversed(states)]))

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        levels: list[PosteriorLevel] = []
        combiners = [None, *(cell for cell in reversed(self.enc_tower) if isinstance(cell, EncoderCombiner))]

        def draw(level: int, x: Tensor) -> Tensor:
            mean, log_scale = raw_prior = self._raw_prior(level, x, noise[level])
            combine = combiners[level]
            state = activations[level] if combine is None else combine(activations[level], x)
            mean_q, log_scale_q = self.enc_sampler[level](state).float().chunk(2, dim=1)
            if self.config.res_dist:
                mean_q, log_scale_q = mean + mean_q, log_scale + log_scale_q
            p, q = soft_clamp(*raw_prior), soft_clamp(mean_q, log_scale_q)
            levels.append(self._posterior_level(level, p, q, noise[level]))
            return levels[-1].z

        return self._top_down(noise[0].shape[0], draw), levels

    def decode(
        self, noise: list[Tensor], given: list[Tensor], keep: list[Tensor], temperature: Tensor
    ) -> tuple[Tensor, list[PriorLevel]]:
        temperatures = temperature[:, :, None, None].split(1, dim=1)  # [B, 1, 1, 1] each, by one operator
        levels: list[PriorLevel] = []

        def draw(level: int, x: Tensor) -> Tensor:
            p = soft_clamp(*self._raw_prior(level, x, noise[level]))
            z = choose(p.mean, p.scale, noise[level], given[level], keep[level], temperatures[level])
            levels.append(PriorLevel(z, p))
            return z

        return self._top_down(temperature.shape[0], draw), levels

    def folded(self) -> NVAE:
        """A copy without weight norm, masks or batch norm; each is part of a convolution, or one scale and shift."""
        model = copy.deepcopy(self).eval()
        for module in list(model.modules()):
            if isinstance(module, EncoderCell | DecoderCell):
                module.fold()
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, WNConv2d | MaskedConv2d):
                    module.register_module(name, child.plain())
        return model

    def _top_down(self, batch: int, draw: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Walk through the decoder; `draw(level, state)` gives the latent of a level. Raw parameters of p(x|z)."""
        x = self.prior_ftr0.expand(batch, -1, -1, -1)
        level = 0
        for cell in self.dec_tower:
            if isinstance(cell, DecoderCombiner):
                x = cell(x, draw(level, x))
                level += 1
            else:
                x = cell(x)
        for cell in self.post_process:
            x = cell(x)
        x = self.image_conditional(x).float()
        x = F.pixel_shuffle(x, self.config.patch) if self.config.patch > 1 else x
        pad = self.config.pad
        return x[:, :, pad:-pad, pad:-pad] if pad else x

    def _raw_prior(self, level: int, x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log scale before the clamp, [B, Z, H, W] each; zeros at the top."""
        if level == 0:
            return torch.zeros_like(like), torch.zeros_like(like)
        mean, log_scale = self.dec_sampler[level - 1](x).float().chunk(2, dim=1)
        return mean, log_scale

    def _posterior_level(self, level: int, p: Normal, q: Normal, noise: Tensor) -> PosteriorLevel:
        z = q.mean + q.scale * noise
        if not self.config.num_nf:
            return PosteriorLevel(z, p, q, kl_normal(q, p))
        base = z
        for flow in self.nf_cells[level * self.config.num_nf : (level + 1) * self.config.num_nf]:
            z = flow(z)
        return PosteriorLevel(z, p, q, log_normal(base, q) - log_normal(z, p), analytic=False)

    def _to_network(self, image: Tensor) -> Tensor:
        """[B, C, H, W] in 0..255, of as many bits as the likelihood observes -> [B, C * patch^2, R, R] in -1..1."""
        x = F.pad(image, (self.config.pad,) * 4) if self.config.pad else image
        x = 2 * x / 255 - 1
        return F.pixel_unshuffle(x, self.config.patch) if self.config.patch > 1 else x


def soft_clamp(mean: Tensor, log_scale: Tensor) -> Normal:
    """The Gaussian of raw numbers: mean within +-5, scale between 0.0167 and 148."""
    mean, log_scale = (5 * (value / 5).tanh() for value in (mean, log_scale))
    return Normal(mean, (log_scale.exp() + 1e-2).log())


def log_normal(z: Tensor, normal: Normal) -> Tensor:
    """log N(z), element-wise, in nats."""
    standard = (z - normal.mean) * (-normal.log_scale).exp()
    return -0.5 * standard.square() - normal.log_scale - 0.5 * math.log(2 * math.pi)
