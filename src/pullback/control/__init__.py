"""Structured control flow: loops and branches as operations on programs, with every transformation."""
