"""Videos of the user's own."""
