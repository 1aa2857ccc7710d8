"""The study: data, variants, benchmarks, results and figures, of which the pages and the command line are made."""
