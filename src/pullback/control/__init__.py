"""Structured control flow: loops and branches as operations on programs, with every transformation."""

from pullback.control import checkpoints as checkpoints
