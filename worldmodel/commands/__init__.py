"""One thin module per command; the only place that wires worldmodel, planners and envs together."""
