"""A module for each family of functions, which defines ROWS."""
