"""LeWorldModel written out on tensors by their released names, and a tiny file of them.

It follows arXiv:2603.19312, section 3, and the names of the public weights: a ViT of transformers,
whose class token is projected; a predictor of AdaLN-zero blocks; histories of three latents.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIZE, PATCH, WIDTH, LATENT = 16, 8, 12, 8
HEADS, HISTORY, BLOCK, ACTION = 2, 3, 5, 2
INNER = 12  # of the predictor's attention, HEADS of 6

Weights = dict[str, Tensor]


def tiny_weights(version: int = 4) -> Weights:
    """Random weights of two blocks each, with the encoder's names of transformers 4 or 5."""
    generator = torch.Generator().manual_seed(0)
    found: Weights = {}

    def add(name: str, *shape: int) -> None:
        found[name] = 0.4 * torch.randn(shape, generator=generator)

    def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        add(f"{name}.weight", outputs, inputs)
        if bias:
            add(f"{name}.bias", outputs)

    def norm(name: str, width: int) -> None:
        add(f"{name}.weight", width)
        add(f"{name}.bias", width)

    def head(name: str) -> None:
        linear(f"{name}.net.0", WIDTH if name == "projector" else LATENT, 10)
        norm(f"{name}.net.1", 10)
        add(f"{name}.net.1.running_mean", 10)
        found[f"{name}.net.1.running_var"] = 0.5 + torch.rand(10, generator=generator)
        found[f"{name}.net.1.num_batches_tracked"] = torch.tensor(7)
        linear(f"{name}.net.3", 10, LATENT)

    add("encoder.embeddings.cls_token", 1, 1, WIDTH)
    add("encoder.embeddings.position_embeddings", 1, (SIZE // PATCH) ** 2 + 1, WIDTH)
    add("encoder.embeddings.patch_embeddings.projection.weight", WIDTH, 3, PATCH, PATCH)
    add("encoder.embeddings.patch_embeddings.projection.bias", WIDTH)
    old = {
        "q": "attention.attention.query",
        "k": "attention.attention.key",
        "v": "attention.attention.value",
        "o": "attention.output.dense",
        "fc1": "intermediate.dense",
        "fc2": "output.dense",
    }
    new = {name: f"attention.{name}_proj" for name in "qkvo"} | {
        n: f"mlp.{n}" for n in old if n[0] == "f"
    }
    names, layers = (old, "encoder.encoder.layer") if version == 4 else (new, "encoder.layers")
    for n in range(2):
        for name in "qkvo":
            linear(f"{layers}.{n}.{names[name]}", WIDTH, WIDTH)
        linear(f"{layers}.{n}.{names['fc1']}", WIDTH, 4 * WIDTH)
        linear(f"{layers}.{n}.{names['fc2']}", 4 * WIDTH, WIDTH)
        norm(f"{layers}.{n}.layernorm_before", WIDTH)
        norm(f"{layers}.{n}.layernorm_after", WIDTH)
    norm("encoder.layernorm", WIDTH)
    add("predictor.pos_embedding", 1, HISTORY, LATENT)
    norm("predictor.transformer.norm", LATENT)
    for n in range(2):
        layer = f"predictor.transformer.layers.{n}"
        norm(f"{layer}.attn.norm", LATENT)
        linear(f"{layer}.attn.to_qkv", LATENT, 3 * INNER, bias=False)
        linear(f"{layer}.attn.to_out.0", INNER, LATENT)
        norm(f"{layer}.mlp.net.0", LATENT)
        linear(f"{layer}.mlp.net.1", LATENT, 20)
        linear(f"{layer}.mlp.net.4", 20, LATENT)
        linear(f"{layer}.adaLN_modulation.1", LATENT, 6 * LATENT)
    add("action_encoder.patch_embed.weight", 10, BLOCK * ACTION, 1)
    add("action_encoder.patch_embed.bias", 10)
    linear("action_encoder.embed.0", 10, 4 * LATENT)
    linear("action_encoder.embed.2", 4 * LATENT, LATENT)
    head("projector")
    head("pred_proj")
    return found


def _linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def _norm(w: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def _head(w: Weights, name: str, x: Tensor) -> Tensor:
    x, norm = _linear(w, f"{name}.net.0", x), f"{name}.net.1"
    x = (x - w[f"{norm}.running_mean"]) / (w[f"{norm}.running_var"] + 1e-5).sqrt()
    x = x * w[f"{norm}.weight"] + w[f"{norm}.bias"]
    return _linear(w, f"{name}.net.3", F.gelu(x))


def _attention(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool) -> Tensor:
    """Of one row ``[n, width]``, head by head and query by query."""
    out = []
    for part in zip(*(x.chunk(heads, -1) for x in (q, k, v)), strict=True):
        queries, keys, values = part
        rows = []
        for t in range(len(q)):
            seen = t + 1 if causal else len(q)
            weights = (keys[:seen] @ queries[t] / queries.shape[-1] ** 0.5).softmax(0)
            rows.append(weights @ values[:seen])
        out.append(torch.stack(rows))
    return torch.cat(out, -1)


def encode(w: Weights, frame: Tensor) -> Tensor:
    """The latent ``[D]`` of a frame ``uint8 [h, w, 3]``; weights under the names of version 4."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((frame / 255 - mean) / std).permute(2, 0, 1)
    at = "encoder.embeddings"
    projection = f"{at}.patch_embeddings.projection"
    patches = F.conv2d(pixels, w[f"{projection}.weight"], w[f"{projection}.bias"], stride=PATCH)
    x = torch.cat([w[f"{at}.cls_token"][0], patches.flatten(1).T])
    x = x + w[f"{at}.position_embeddings"][0]
    for n in range(2):
        layer = f"encoder.encoder.layer.{n}"
        y = _norm(w, f"{layer}.layernorm_before", x, 1e-12)
        names = ("query", "key", "value")
        q, k, v = (_linear(w, f"{layer}.attention.attention.{name}", y) for name in names)
        x = x + _linear(w, f"{layer}.attention.output.dense", _attention(q, k, v, HEADS, False))
        y = _norm(w, f"{layer}.layernorm_after", x, 1e-12)
        y = F.gelu(_linear(w, f"{layer}.intermediate.dense", y))
        x = x + _linear(w, f"{layer}.output.dense", y)
    return _head(w, "projector", _norm(w, "encoder.layernorm", x, 1e-12)[0])


def predict(w: Weights, latents: Tensor, actions: Tensor) -> Tensor:
    """What follows each of n latents ``[n, D]`` under scaled blocks ``[n, BLOCK * A]``."""
    c = F.linear(actions, w["action_encoder.patch_embed.weight"][..., 0])
    c = c + w["action_encoder.patch_embed.bias"]
    c = _linear(w, "action_encoder.embed.2", F.silu(_linear(w, "action_encoder.embed.0", c)))
    x = latents + w["predictor.pos_embedding"][0, : len(latents)]
    for n in range(2):
        layer = f"predictor.transformer.layers.{n}"
        parts = _linear(w, f"{layer}.adaLN_modulation.1", F.silu(c)).chunk(6, -1)
        y = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + parts[1]) + parts[0]
        y = _norm(w, f"{layer}.attn.norm", y, 1e-5)
        q, k, v = _linear(w, f"{layer}.attn.to_qkv", y).chunk(3, -1)
        y = _linear(w, f"{layer}.attn.to_out.0", _attention(q, k, v, HEADS, True))
        x = x + parts[2] * y
        y = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + parts[4]) + parts[3]
        y = F.gelu(_linear(w, f"{layer}.mlp.net.1", _norm(w, f"{layer}.mlp.net.0", y, 1e-5)))
        x = x + parts[5] * _linear(w, f"{layer}.mlp.net.4", y)
    return _head(w, "pred_proj", _norm(w, "predictor.transformer.norm", x, 1e-5))


def rollout(w: Weights, latent: Tensor, actions: Tensor) -> Tensor:
    """Latents ``[K, D]`` after one, each from the last three, under blocks ``[K, BLOCK * A]``."""
    seen = [latent]
    for k in range(len(actions)):
        window = torch.stack(seen[-HISTORY:])
        seen.append(predict(w, window, actions[k + 1 - len(window) : k + 1])[-1])
    return torch.stack(seen[1:])
