"""What holds on a CUDA GPU only, and cannot be seen elsewhere."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from worldmodel.agents.planner import make_search
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.nn.replay import Replayed
from worldmodel.nn.standardisation import StateFeatures
from worldmodel.planners import LatentDistance, Plan, Problem, SearchConfig, TotalEnergy
from worldmodel.planners.optimizers.cem import CEMConfig
from worldmodel.planners.optimizers.cem_gradient import CEMGradientConfig
from worldmodel.planners.optimizers.collocation import CollocationConfig
from worldmodel.planners.optimizers.gradient import GradientConfig
from worldmodel.planners.optimizers.icem import ICEMConfig
from worldmodel.planners.optimizers.mppi import MPPIConfig
from worldmodel.planners.optimizers.shooting import RandomShootingConfig
from worldmodel.planners.optimizers.vjepa2_ac import VJEPA2ACConfig
from worldmodel.predictors.imagination import Imagined
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

SMALL = {"horizon": 4, "receding_horizon": 1}
SEARCHES = [
    CEMConfig(samples=32, iterations=3, **SMALL),
    ICEMConfig(samples=32, iterations=3, **SMALL),
    MPPIConfig(samples=32, iterations=3, **SMALL),
    RandomShootingConfig(samples=32, **SMALL),
    GradientConfig(iterations=4, **SMALL),
    CEMGradientConfig(samples=32, iterations=2, steps=3, **SMALL),
    CollocationConfig(iterations=4, relaxed=2, **SMALL),
    VJEPA2ACConfig(samples=32, iterations=3, horizon=4),
]


class Point:
    """Latent ``[B, T, 1, A]`` = state = position, which an action displaces."""

    stride = 1

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        path = latents[:, None, -1:, 0] + actions.cumsum(2)
        return Imagined(path[..., None, :], path, actions, latents[:, -1], states[:, -1])


class Layered(Point):
    """The same behind a layer, so that there are activations for gradients to need."""

    def rollout(self, latents: Tensor, states: Tensor, actions: Tensor) -> Imagined:
        return super().rollout(latents, states, (20 * actions).tanh() / 20)


class Plans:
    """Plans of one search for two points."""

    def __init__(self, search: SearchConfig, *, compiled: bool = False, goal: float = 0.05) -> None:
        high = torch.full((7,), 0.05, device="cuda")
        goals = torch.full((2, 1, 7), goal, device="cuda")
        start = torch.zeros(2, 1, 7, device="cuda")
        energy = TotalEnergy(LatentDistance(goals, "l2"))
        self.planner = make_search(search, -high, high)
        self.problem = Problem(
            Point(), start[:, :, None], start, energy, goals=goals, compiled=compiled
        )

    def __call__(self) -> Plan:
        generator = torch.Generator("cuda").manual_seed(0)
        state = self.planner.init(2)
        return self.planner.plan(self.problem, state, generator=generator)[0]


def waits(plans: Plans) -> list[str]:
    """Files in which a plan waits for the device, after the first."""
    plans()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            plans()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [warning for warning in caught if "synchronizing" in str(warning.message)]
    return [warning.filename.rpartition("/")[2] for warning in found]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)
def test_a_plan_waits_for_the_device_once_however_many_rounds(search: SearchConfig) -> None:
    assert len(waits(Plans(search))) == 1


def test_compiled_a_plan_is_the_same_and_replayed_as_graphs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = CEMConfig(samples=32, iterations=3, **SMALL)
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    fast = Plans(search, compiled=True)
    for _ in range(2):  # rounds that warm up and record are among them
        fast()
    replayed: list[torch.cuda.CUDAGraph] = []
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        replayed.append(graph)
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    found, exact = fast(), Plans(search)()
    torch.testing.assert_close(found.actions, exact.actions)
    torch.testing.assert_close(found.trace, exact.trace)
    assert len(replayed) == 2 * search.iterations  # a rollout and an energy in each
    assert not counters["inductor"]["cudagraph_skips"]
    assert len(waits(fast)) == 1


@pytest.mark.parametrize(
    "search",
    [GradientConfig(iterations=4, **SMALL), CEMGradientConfig(samples=32, steps=3, **SMALL)],
    ids=lambda search: type(search).__name__,
)
def test_compiled_searches_by_gradients_find_the_same(search: SearchConfig) -> None:
    torch._dynamo.reset()
    exact, fast = Plans(search), Plans(search, compiled=True)
    for plans in (exact, fast):
        plans.problem = replace(plans.problem, world=Layered())
    for _ in range(3):
        torch.testing.assert_close(fast().actions, exact().actions, atol=1e-5, rtol=1e-4)


def world(dtype: torch.dtype = torch.float32) -> TokenWorld:
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=64, patch_size=16, width=48, depth=2, heads=2, tiled_rope=True)
    predictor = TokenPredictor(
        TokenPredictorConfig(tokens=16, token_width=48, width=64, depth=2, heads=2, tiled_rope=True)
    )
    for parameter in predictor.parameters():
        parameter.data.normal_(std=0.1)
    made = TokenWorld(FrozenEncoder(VideoTransformer(sizes)), predictor)
    return made.imagine_in(dtype)


def imagined(
    model: TokenWorld, device: str, horizon: int, context: int = 2
) -> tuple[Tensor, Tensor]:
    """Latents of frames, and what is imagined after others, the same for all."""
    noise = torch.Generator().manual_seed(1)
    frames = torch.randint(256, (2, context, 64, 64, 3), generator=noise).to(torch.uint8)
    known = torch.randn(2, context, 16, 48, generator=noise)
    states = 0.3 * torch.rand(2, context, 7, generator=noise)
    actions = 0.1 * torch.randn(2, 5, horizon, 7, generator=noise)
    model.to(device)
    with torch.no_grad():
        latents = model.encode(frames.to(device))
        path = model.rollout(known.to(device), states.to(device), actions.to(device))
    return latents.cpu(), path.latents.cpu()


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_gpu_imagines_what_a_cpu_does(horizon: int) -> None:
    model = world()
    (_, there), (_, here) = (imagined(model, device, horizon) for device in ("cpu", "cuda"))
    torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("context", [1, 2])
@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_fused_and_replayed_it_imagines_what_it_did_before(
    dtype: torch.dtype, share: float, horizon: int, context: int
) -> None:
    model = world(dtype)
    before = imagined(model, "cuda", horizon, context)
    model.fuse()
    for _ in range(2):
        latents, path = imagined(model, "cuda", horizon, context)
        assert (latents - before[0]).norm() < 2e-2 * before[0].norm()  # of half precision
        assert (path - before[1]).norm() < share * before[1].norm()
    assert len(model.encoder._replayed._captures) == len(model._replayed._captures) == 1
    model._replayed._captures.clear()
    model.memory = 0  # candidates one by one, and not replayed
    _, path = imagined(model, "cuda", horizon, context)
    assert (path - before[1]).norm() < share * before[1].norm()
    assert not model._replayed._captures


def test_what_is_replayed_is_new_and_follows_weights_that_move() -> None:
    layer = nn.Linear(3, 3, device="cuda").requires_grad_(False)
    replayed, x = Replayed(layer, layer), torch.randn(4, 3, device="cuda")
    first = replayed(x)
    kept = first.clone()
    torch.testing.assert_close(replayed(2 * x), layer(2 * x))
    assert torch.equal(first, kept)
    layer.weight.data = 3 * layer.weight.data
    torch.testing.assert_close(replayed(x), layer(x))
    torch.testing.assert_close(replayed(x[:2]), layer(x[:2]))
    with torch.autocast("cuda", torch.bfloat16):
        assert replayed(x).dtype == torch.bfloat16
    copied = copy.deepcopy(replayed)
    assert replayed._captures
    assert not copied._captures
    torch.testing.assert_close(copied(x), layer(x))


@pytest.mark.parametrize("angles", [(3, 4, 5), (4, 1), ()])
def test_states_become_features_and_come_back_without_a_wait(angles: tuple[int, ...]) -> None:
    seen = StateFeatures(7, angles).cuda()
    states = 0.1 * torch.randn(4, 7, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        back = seen.inverse(seen(states))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(back, states)
