"""The engine runs stale trainings and pages: `plan` has the jobs, `launch` starts Snakemake, which runs `job`."""
