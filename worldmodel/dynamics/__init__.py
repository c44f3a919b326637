"""Training action-conditioned predictors on cached latents, and judging them offline."""
