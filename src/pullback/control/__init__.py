"""Structured control flow: loops and branches as operations on programs, with every transformation."""

from pullback.control import checks as checks
