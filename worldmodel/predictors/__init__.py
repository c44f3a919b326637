"""Action-conditioned predictors: imagined latents from latents, states and actions."""
