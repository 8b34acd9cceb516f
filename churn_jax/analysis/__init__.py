"""From many runs' predictions to numbers with intervals: one pass, samples, intervals, the gate."""
