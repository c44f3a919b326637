import copy
from dataclasses import replace

import numpy as np
import torch

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.pretraining.clips import Clips
from worldmodel.pretraining.jepa import JepaObjective, JepaTraining
from worldmodel.pretraining.masks import BlockMasks, Mask

TINY = EncoderConfig(image_size=24, patch_size=12, width=24, depth=1, heads=2)
SMALL = JepaTraining(clip_frames=4, predictor_width=24, predictor_depth=1, predictor_heads=2)


def objective(config: JepaTraining = SMALL) -> JepaObjective:
    torch.manual_seed(0)
    return JepaObjective(VideoTransformer(TINY), config)


def masks() -> list[Mask]:
    rng = np.random.default_rng(0)
    return [BlockMasks((2, 2, 2), hidden).sample(rng) for hidden in (0.5, 0.75)]


def clips(batch: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 4, 24, 24, 3), generator=generator, dtype=torch.uint8)


def losses(model: JepaObjective) -> dict[str, torch.Tensor]:
    return model.losses(Clips(clips(), torch.zeros(4, 3, 1, 7)), np.random.default_rng(0))


def test_the_target_encoder_gets_no_gradient_and_everything_else_does() -> None:
    model = objective()
    torch.stack(list(losses(model).values())).sum().backward()
    assert all(p.grad is None for p in model.target.parameters())
    learnt = [*model.encoder.parameters(), *model.predictor.parameters()]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learnt)


def test_the_target_follows_the_encoder_by_the_momentum() -> None:
    model = objective()
    before = copy.deepcopy(model.target.norm.weight.data)
    with torch.no_grad():
        model.encoder.norm.weight.add_(1)
    model.update_target(0.9)
    torch.testing.assert_close(model.target.norm.weight.data, before + 0.1)


def test_the_prediction_never_sees_what_is_hidden() -> None:
    """Changing hidden pixels changes the targets but not the predictor's inputs."""
    model, frames, (mask, _) = objective(), clips(2), masks()
    seen: list[torch.Tensor] = []
    model.predictor.register_forward_hook(lambda _, inputs, out: seen.append(out.detach()))
    model(frames, [mask])
    hidden = int(mask.target_ids[0])
    time, row, column = hidden // 4, hidden % 4 // 2, hidden % 2
    frames[:, 2 * time : 2 * time + 2, 12 * row : 12 * row + 12, 12 * column : 12 * column + 12] = 0
    model(frames, [mask])
    torch.testing.assert_close(seen[0], seen[1])


def test_a_collapsed_encoder_predicts_well_and_pays_in_variance() -> None:
    model = objective()
    for encoder in (model.encoder, model.target):
        torch.nn.init.zeros_(encoder.patch_embed.proj.weight)
    assert losses(model)["variance"].item() > 0.9 * SMALL.std_target
    assert losses(objective())["variance"].item() < 0.9 * SMALL.std_target


def test_sigreg_takes_part_only_where_it_counts() -> None:
    model = objective(replace(SMALL, sigreg_weight=0.1))
    assert model.weights["sigreg"] == 0.1
    assert set(losses(model)) - set(losses(objective())) == {"sigreg"}
