"""Training the vector predictor, a stage per file."""
