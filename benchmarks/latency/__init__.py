"""What only measures: the latency harness, and implementations to compare with."""
