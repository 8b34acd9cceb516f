"""Studies: every table and figure of the paper as data, trained cell by cell and drawn.

A study is a value of `design.Study`: named cells (each a config: one group of independent runs) and
the tables and figures that their results fill. `configs/studies/` holds the paper's.
"""
