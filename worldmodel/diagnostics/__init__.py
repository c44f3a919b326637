"""What energies, priors and uncertainties know: figures, and pictures of them."""
