"""Programs that solve something real with Pullback, each checked against a value that is known or computed
otherwise.

    python -m examples                 # what there is
    python -m examples kepler          # run one
    python -m examples --all --small   # all, in small sizes
"""
