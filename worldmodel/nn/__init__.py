"""Attention, rotary positions and transformer blocks, written once."""
