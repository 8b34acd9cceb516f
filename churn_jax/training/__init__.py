"""From a config to trained runs: the experiment, the step, the loop, checkpoints, inference."""
