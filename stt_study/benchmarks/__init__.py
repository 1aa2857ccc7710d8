"""The benchmarks: readers of the official layouts, protocols, measures, and runs of them."""
