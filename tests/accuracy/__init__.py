"""How exact every special function and distribution is: tables of mpmath's values, and errors in units of the last place.

`table.Row` declares a function, `rows/` has them by family, `references/` mpmath's values of them (`make
accuracy-references`), and `make accuracy` measures and writes docs/accuracy.md.
"""
