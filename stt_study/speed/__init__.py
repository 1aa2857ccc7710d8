"""How fast, how much memory, and what a training costs."""
