"""The world that ships as code."""
