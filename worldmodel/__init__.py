"""The learned model and everything that makes one: encoders, predictors, training, data, weights."""
