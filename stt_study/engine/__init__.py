"""The engine: runs trainings and pages with Snakemake and papermill, only what is stale.

`plan` has the jobs and what makes them stale, `launch` starts Snakemake, `job` is what that runs, `progress` is seen.
"""
