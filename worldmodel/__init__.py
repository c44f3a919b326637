"""The learned model and all that makes one: encoders, predictors, training, data, weights."""
