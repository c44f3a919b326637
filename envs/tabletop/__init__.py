"""The built-in arm over a table: scene, tasks, appearance, scripted behaviour."""
