"""Policies: a world, what is minimised in it, and a planner; what a task decides of them."""
