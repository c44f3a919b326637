from pathlib import Path

import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.weights.token_world import load_token_world, save_token_world


def test_a_token_world_comes_back_with_its_statistics(tmp_path: Path) -> None:
    encoder = VideoTransformer(EncoderConfig(image_size=24, width=12, depth=1, heads=2))
    predictor = TokenPredictor(
        TokenPredictorConfig(tokens=4, token_width=12, width=24, depth=1, heads=2)
    )
    predictor.scale_actions.fit(torch.randn(10, 7))
    predictor.state_features.fit(torch.randn(10, 7))
    world = TokenWorld(FrozenEncoder(encoder), predictor)
    save_token_world(tmp_path, world, {"note": "test"})
    loaded = load_token_world(tmp_path)
    assert loaded.predictor.config == predictor.config
    tensors = loaded.state_dict()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in world.state_dict().items())
