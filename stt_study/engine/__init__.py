"""The engine: runs trainings and pages with Snakemake and papermill, only what is stale.

`plan` says which jobs there are and what makes them stale, `launch` starts Snakemake (the Snakefile at the repository's root) and watches
it, `job` is what Snakemake runs, `progress` the line that is seen.
"""
