"""Structured control flow: loops and branches as operations on programs, with every transformation."""

from pullback.control import reversed_scan as reversed_scan
from pullback.control import reversed_while as reversed_while
