"""Data sets: downloaded, unpacked, checked."""
