"""What pages 09, 10 and 15 compute."""
