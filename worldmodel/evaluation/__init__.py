"""Episodes, their success, baselines beside them, and the report."""
