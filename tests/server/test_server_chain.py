"""Whatever is remembered, an image is the same to the last bit, alone or in any batch, and less of it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_zoo.manifest import Manifest
from server.batching import Batcher
from server.cancel import Cancel, Cancelled
from server.chain import Chain, Link, prefix_keys
from server.engine import DECODER_OUTPUTS, ENCODER_OUTPUTS, Engine
from server.models import Model
from server.plan import Pass
from server.states import Arrays, StateCache

few = hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MIB = 1 << 20


def random_pass(manifest: Manifest, count: int, seed: int, keeps: bool = True) -> Pass:
    """Noise, temperatures, and latents kept at some places, as a plan has them."""
    rng = np.random.default_rng(seed)
    work = Pass.blank(count, manifest)
    if keeps:
        work.keep[:] = rng.random(work.keep.shape) < 0.2
    drawn = rng.standard_normal(work.noise.shape, np.float32)
    latents = rng.integers(0, 2, work.noise.shape) if manifest.prior == "bernoulli" else drawn[:, ::-1]
    work.noise[:] = np.where(work.keep, 0, drawn)
    work.given[:] = np.where(work.keep, latents, 0)
    work.temperature[:] = rng.uniform(0.5, 1.2, work.temperature.shape)
    return work


def rows(work: Pass, *wanted: int) -> Pass:
    index = list(wanted)
    return Pass(work.noise[index], work.given[index], work.keep[index], work.temperature[index])


def changed_at(work: Pass, row: int, level: int, manifest: Manifest) -> Pass:
    """One level of one image at another temperature."""
    other = work.copy()
    other.temperature[row, level] += 0.5
    return other


def remembering_nothing_yet(engine: Engine) -> Engine:
    """The same engine with an empty cache."""
    chain = replace(chain_of(engine), cache=StateCache(64 * MIB))
    return replace(engine, decoder=Batcher(chain, engine.max_batch, lanes=1))


def chain_of(engine: Engine) -> Chain:
    return cast(Chain, engine.decoder.decodes)


@pytest.fixture(scope="module")
def cut_finely(any_model: Model) -> Engine:
    """Every bundle, cut wherever it can be, with a cache, on two threads."""
    return Engine.open(any_model.bundle, "cpu", threads=2, max_batch=8, cache=StateCache(64 * MIB), min_flops=1)


@pytest.fixture(scope="module")
def forgetful(any_model: Model) -> Engine:
    """The same without a cache."""
    return Engine.open(any_model.bundle, "cpu", threads=2, max_batch=8, min_flops=1)


@given(seed=st.integers(0, 1000), level=st.integers(0, 200), count=st.integers(1, 3), keeps=st.booleans())
@few
def test_an_image_from_a_remembered_state_is_the_image_from_the_top(
    cut_finely: Engine, forgetful: Engine, seed: int, level: int, count: int, keeps: bool
) -> None:
    cut_finely, manifest = remembering_nothing_yet(cut_finely), cut_finely.manifest
    level %= len(manifest.levels)
    work = random_pass(manifest, count, seed, keeps)
    cut_finely.decode(work, ("likelihood",))
    other = changed_at(work, count - 1, level, manifest)
    fast, slow = (engine.decode(other, ("likelihood",)) for engine in (cut_finely, forgetful))
    np.testing.assert_array_equal(fast["likelihood"], slow["likelihood"])
    starts = [link.segment.levels.start for link in chain_of(cut_finely).links]
    from_here = len(manifest.levels) - max(start for start in starts if start <= level)
    last_alone = len(manifest.levels) - starts[-1]
    assert fast.levels_computed == (*[last_alone] * (count - 1), from_here)
    assert slow.levels_computed == (len(manifest.levels),) * count


@given(seed=st.integers(0, 1000), keeps=st.booleans(), pick=st.permutations(range(7)), size=st.integers(1, 7))
@few
def test_an_image_does_not_depend_on_its_batch(
    forgetful: Engine, seed: int, keeps: bool, pick: list[int], size: int
) -> None:
    """On two threads, each of which takes its share of a batch, wherever that ends."""
    work, chosen = random_pass(forgetful.manifest, 7, seed, keeps), pick[:size]
    together = forgetful.decode(work, DECODER_OUTPUTS)
    some = forgetful.decode(rows(work, *chosen), DECODER_OUTPUTS)
    for name in DECODER_OUTPUTS:
        np.testing.assert_array_equal(some[name], together[name][chosen], err_msg=name)


@given(seed=st.integers(0, 1000), size=st.integers(1, 7))
@few
def test_an_encoding_does_not_depend_on_its_batch(forgetful: Engine, seed: int, size: int) -> None:
    image = forgetful.manifest.image
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (7, image.height, image.width, image.channels), np.uint8)
    noise = rng.standard_normal((7, forgetful.manifest.latents), np.float32)
    together = forgetful.encode(pixels, noise, ENCODER_OUTPUTS)
    some = forgetful.encode(pixels[:size], noise[:size], ENCODER_OUTPUTS)
    for name in ENCODER_OUTPUTS:
        np.testing.assert_array_equal(some[name], together[name][:size], err_msg=name)


def test_the_chain_does_what_the_graph_does(any_model: Model, forgetful: Engine) -> None:
    """Within 1e-5 of the largest value: other fusions, other roundings."""
    work = random_pass(forgetful.manifest, 3, seed=5)
    session = onnxruntime.InferenceSession(any_model.bundle.decoder, providers=["CPUExecutionProvider"])
    feed = {"noise": work.noise, "given": work.given, "keep": work.keep, "temperature": work.temperature}
    whole = dict(zip(DECODER_OUTPUTS, session.run(DECODER_OUTPUTS, feed), strict=True))
    parts = forgetful.decode(work, DECODER_OUTPUTS)
    for name in DECODER_OUTPUTS:
        largest = np.abs(whole[name]).max()
        np.testing.assert_allclose(parts[name], whole[name], rtol=0, atol=1e-5 * largest, err_msg=name)


def test_the_image_is_the_same_whether_latents_are_asked_for_or_not(forgetful: Engine) -> None:
    work = random_pass(forgetful.manifest, 3, seed=6)
    alone, beside = forgetful.decode(work, ("likelihood",)), forgetful.decode(work, DECODER_OUTPUTS)
    np.testing.assert_array_equal(alone["likelihood"], beside["likelihood"])


def test_latents_that_were_asked_for_are_remembered_as_a_whole(cut_finely: Engine) -> None:
    work = random_pass(cut_finely.manifest, 3, seed=7)
    first = cut_finely.decode(work, ("latents", "prior_scale"))
    again = cut_finely.decode(rows(work, 2, 0), ("latents", "prior_scale"))
    assert (first.levels_computed, again.levels_computed) == ((len(cut_finely.manifest.levels),) * 3, (0, 0))
    np.testing.assert_array_equal(again["latents"], first["latents"][[2, 0]])


def test_what_does_not_reach_a_cut_is_not_in_its_key(toy: Model) -> None:
    engine = Engine.open(toy.bundle, "cpu", min_flops=1)
    manifest, segments = toy.bundle.manifest, [link.segment for link in chain_of(engine).links]
    work = random_pass(manifest, 2, seed=8)
    last = changed_at(work, 1, len(manifest.levels) - 1, manifest)
    before, after = (prefix_keys("model", each, segments) for each in (work, last))
    assert before[:-1] == after[:-1]
    assert (before[-1][0] == after[-1][0], before[-1][1] == after[-1][1]) == (True, False)
    assert len({key for cut in before for key in cut}) == 2 * len(segments)
    assert prefix_keys("another", work, segments)[0] != before[0]


def test_keeping_latents_is_another_prefix_than_drawing_with_the_same_numbers(toy: Model) -> None:
    engine = Engine.open(toy.bundle, "cpu", min_flops=1)
    segments = [link.segment for link in chain_of(engine).links]
    work = random_pass(toy.bundle.manifest, 1, seed=9, keeps=False)
    kept = work.copy()
    kept.keep[0, 0] = True
    assert prefix_keys("model", work, segments)[0] != prefix_keys("model", kept, segments)[0]


def test_a_pass_fills_at_most_half_of_the_cache(toy: Model) -> None:
    """So that the state that it started from is still there for the next one."""
    cache = StateCache(20_000)  # four states of an image are 11.6 kB
    engine = Engine.open(toy.bundle, "cpu", max_batch=16, cache=cache, min_flops=1)
    for seed in range(5):
        before = cache.nbytes
        engine.decode(random_pass(toy.bundle.manifest, 1, seed), ("likelihood",))
        assert cache.nbytes <= min(before + 10_000, 20_000)
    assert cache.nbytes > 0


def test_a_pass_is_stopped_within_a_segment(toy: Model) -> None:
    """ONNX Runtime leaves a run whose options say so, also one that was begun before."""
    chain = chain_of(Engine.open(toy.bundle, "cpu", min_flops=1))
    cancel, ran = Cancel(), []

    def left_meanwhile(names: Sequence[str], feed: Arrays, options: onnxruntime.RunOptions) -> list[NDArray[Any]]:
        cancel.cancel()
        ran.append(names)
        return chain.links[0].run(names, feed, options)

    first = Link(chain.links[0].segment, left_meanwhile)
    stopped = Chain((first, *chain.links[1:]), chain.digest, chain.cache)
    with pytest.raises(Cancelled):
        stopped.decode(random_pass(toy.bundle.manifest, 1, seed=0), ("likelihood",), cancel)
    assert len(ran) == 1
    with pytest.raises(Cancelled):
        stopped.decode(random_pass(toy.bundle.manifest, 1, seed=0), ("likelihood",), cancel)
    assert len(ran) == 1
