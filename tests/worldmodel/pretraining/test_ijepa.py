import copy

import numpy as np
import pytest
import torch

from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.pretraining.clips import Clips
from worldmodel.pretraining.ijepa import IjepaObjective, IjepaTraining
from worldmodel.pretraining.image_masks import ImageMask

TINY = EncoderConfig(image_size=24, patch_size=6, width=24, depth=1, heads=2)
SMALL = IjepaTraining(batch=4, predictor_width=24, predictor_depth=1, predictor_heads=2)


def objective(config: IjepaTraining = SMALL) -> IjepaObjective:
    torch.manual_seed(0)
    return IjepaObjective(VideoTransformer(TINY), config)


def images(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 24, 24, 3), generator=generator, dtype=torch.uint8)


def mask(count: int = 4) -> ImageMask:
    return SMALL.masks(TINY.grid).sample(np.random.default_rng(0), count)


def losses(model: IjepaObjective) -> dict[str, torch.Tensor]:
    clips = Clips(images().unsqueeze(1), torch.zeros(4, 0, 1, 7))
    return model.losses(clips, np.random.default_rng(0))


def test_the_target_encoder_gets_no_gradient_and_everything_else_does() -> None:
    model = objective()
    torch.stack(list(losses(model).values())).sum().backward()
    assert all(p.grad is None for p in model.target.parameters())
    learnt = [*model.encoder.parameters(), *model.predictor.parameters()]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learnt)


def test_the_target_is_a_moving_average_whose_momentum_goes_from_first_to_last() -> None:
    model = objective()
    before = copy.deepcopy(model.target.norm.weight.data)
    with torch.no_grad():
        model.encoder.norm.weight.add_(1)
    model.follow(0.0)
    torch.testing.assert_close(model.target.norm.weight.data, before + 0.01)
    model = objective()
    with torch.no_grad():
        model.encoder.norm.weight.add_(1)
    model.follow(1.0)
    torch.testing.assert_close(model.target.norm.weight.data, before + 0.001)


def test_a_target_block_is_predicted_without_its_pixels_and_apart_from_other_blocks() -> None:
    model, pixels, shown = objective(), images(1), mask(1)
    seen: list[torch.Tensor] = []
    model.predictor.register_forward_hook(lambda _, inputs, out: seen.append(out.detach()))
    model(pixels, shown)
    hidden = set(range(16)) - set(shown.context_ids[0].tolist())
    for token in hidden:
        row, column = 6 * (token // 4), 6 * (token % 4)
        pixels[:, row : row + 6, column : column + 6] = 0
    model(pixels, shown)
    torch.testing.assert_close(seen[0], seen[1])
    alone = ImageMask(shown.context_ids, shown.target_ids[:, 2:3])
    model(pixels, alone)
    torch.testing.assert_close(seen[2], seen[1][2:3])


def test_the_loss_is_of_the_targets_own_latents() -> None:
    """A predictor that knew them would have none."""
    model, pixels, shown = objective(), images(), mask()

    def know(_: object, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
        _, _, ids = inputs
        clip = torch.nn.functional.layer_norm(latents, (24,)).repeat_interleave(4, 0)
        return clip.gather(1, ids.unsqueeze(-1).expand(-1, -1, 24)) + offsets[-1]

    offsets = [0.0]
    with torch.no_grad():
        latents = model.target(to_clip(pixels.unsqueeze(1)).expand(-1, -1, 2, -1, -1))
    model.predictor.register_forward_hook(know)
    for offset, loss in ((0.0, 0.0), (0.5, 0.125), (3.0, 2.5)):  # quadratic, then linear
        offsets.append(offset)
        assert model(pixels, shown)[0].item() == pytest.approx(loss, abs=1e-5)


def test_every_frame_of_a_clip_is_an_image() -> None:
    model = objective()
    together = Clips(images().view(2, 2, 24, 24, 3), torch.zeros(2, 1, 1, 7))
    found = model.losses(together, np.random.default_rng(0))
    for name, value in losses(objective()).items():
        torch.testing.assert_close(found[name], value)
