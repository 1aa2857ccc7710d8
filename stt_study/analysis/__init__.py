"""What pages 06, 09, 10 and 15 compute."""
