from torch import nn

from worldmodel.nn.decay import decay_groups


def test_only_matrices_that_are_trained_decay() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 3).requires_grad_(False))
    matrices, vectors = decay_groups(model.parameters(), 0.1)
    assert [id(p) for p in matrices["params"]] == [id(model[0].weight)]
    assert {id(p) for p in vectors["params"]} == {
        id(p) for p in (model[0].bias, model[1].weight, model[1].bias)
    }
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
