"""A module per command: configuration in, one call of the API, a table out."""
