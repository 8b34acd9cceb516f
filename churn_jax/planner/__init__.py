"""What a training would cost on a TPU slice, from the TPU compiler alone: no TPU is needed.

compiling   the real step, compiled ahead of time for a named slice
program     what the compiled program does: the compiler's cycles, bytes, loops
arithmetic  what the step's mathematics needs: multiplications and additions
chips       what a chip can do
estimate    the three together: times, limits, hours
text        the same for a person
"""
