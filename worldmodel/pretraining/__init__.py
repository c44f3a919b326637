"""Masked latent prediction with anti-collapse terms, and how to see that it does not collapse."""
