"""Checkpoint folders: writing, strict reading."""
