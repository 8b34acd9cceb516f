"""The process and the machine: commands, signals, threads, memory, kept programs."""
