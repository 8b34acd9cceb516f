"""What is trained: objectives as data, every method by name, schedules of their weights."""
