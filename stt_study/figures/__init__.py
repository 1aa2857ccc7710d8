"""Figures of the book."""

KEY = "stt"  # of an output's metadata; `book/build.py` makes a numbered figure or table of it
