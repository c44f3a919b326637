"""The command line: words in, a typed configuration out, errors as one line."""
