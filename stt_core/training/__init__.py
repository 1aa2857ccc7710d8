"""Training: both steps' loops, a run's folder, and the unlabelled data."""
