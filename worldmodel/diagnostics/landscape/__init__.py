"""Energies over actions, and over places of the gripper."""
