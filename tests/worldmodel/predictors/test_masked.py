import torch

from worldmodel.encoders.vision_transformer import EncoderConfig
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes

ENCODER = EncoderConfig(image_size=24, patch_size=12, width=24, depth=1, heads=2)


def test_a_prediction_depends_on_where_it_is_asked_and_on_what_is_seen_where() -> None:
    torch.manual_seed(0)
    predictor = MaskedPredictor(ENCODER, MaskedSizes(width=24, depth=1, heads=2))
    torch.nn.init.normal_(predictor.mask_tokens[0])  # they start at 0, which has no direction
    context, seen = torch.randn(1, 3, 24), torch.tensor([0, 1, 4])

    def predict(context_ids: torch.Tensor, target: int) -> torch.Tensor:
        return predictor(context, context_ids, torch.tensor([target]))

    reference = predict(seen, 5)
    torch.testing.assert_close(predict(seen, 5), reference)
    assert not torch.allclose(predict(seen, 7), reference, atol=1e-6)
    assert not torch.allclose(predict(torch.tensor([0, 1, 6]), 5), reference, atol=1e-6)


def test_the_order_of_the_context_does_not_matter() -> None:
    torch.manual_seed(0)
    predictor = MaskedPredictor(ENCODER, MaskedSizes(width=24, depth=2, heads=2))
    context, ids, order = torch.randn(2, 3, 24), torch.tensor([0, 1, 4]), torch.tensor([2, 0, 1])
    targets = torch.tensor([5, 7])
    shuffled = predictor(context[:, order], ids[order], targets)
    torch.testing.assert_close(shuffled, predictor(context, ids, targets), atol=1e-6, rtol=1e-5)


def test_parameters_have_the_names_of_v_jepa_2() -> None:
    names = {
        name.split(".")[0]
        for name in MaskedPredictor(ENCODER, MaskedSizes(width=24, heads=2)).state_dict()
    }
    assert names == {
        "predictor_embed",
        "mask_tokens",
        "predictor_blocks",
        "predictor_norm",
        "predictor_proj",
    }


def test_ids_count_along_the_grid_that_is_given() -> None:
    """The same places, numbered along rows of 4 in frames of 2 × 4 and of 4 × 4."""
    torch.manual_seed(0)
    predictor = MaskedPredictor(ENCODER, MaskedSizes(width=24, depth=2, heads=2))
    for parameter in predictor.parameters():
        parameter.data.normal_(std=0.3)
    context = torch.randn(1, 3, 24)
    wide = predictor(context, torch.tensor([0, 5, 9]), torch.tensor([7, 14]), grid=(2, 4))
    square = predictor(context, torch.tensor([0, 5, 17]), torch.tensor([7, 22]), grid=(4, 4))
    torch.testing.assert_close(wide, square)
    assert not torch.allclose(
        wide, predictor(context, torch.tensor([0, 5, 9]), torch.tensor([7, 14])), atol=1e-3
    )
