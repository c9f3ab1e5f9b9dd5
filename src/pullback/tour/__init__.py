"""A guided tour: two documents of JAX on automatic differentiation, run on Pullback and compared
value by value.

    python -m pullback.tour [--section N] [--plain]

`tutorial` and `cookbook` hold the documents' code and printed values as data; `documents` says what
they consist of and when values agree, `notebook` runs them, `display` shows them.
"""
