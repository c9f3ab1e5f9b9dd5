"""What a function does under a transformation, in numbers and pictures: `pullback.debug.explain`, `picture` and
`memory_over_time`.

`operations` counts what a program does, `kernels` reads what XLA made of it, `memory` follows what is alive
while it runs, `drawing` draws programs and curves as SVG, and `explanation` puts these together.
"""
