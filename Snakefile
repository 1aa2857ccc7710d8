# Runs what `python -m stt_study.engine.launch` planned (see Makefile): trainings and pages, each after those it needs.
# The plan is the configuration. What a job declares is a small file that holds its key, a hash of contents; the
# launcher deletes it where the key is no longer this, and no time stamp counts. The job itself puts its page in place,
# so one that fails leaves the last good one.
import sys

from stt_study.engine.plan import Job

jobs = {name: Job(**job) for name, job in config["jobs"].items()}


rule all:
    input:
        [job.done for job in jobs.values()],


rule job:
    input:
        lambda wildcards: [jobs[need].done for need in jobs[wildcards.name].needs],
    output:
        config["out"] + "/.done/{name}",
    threads: lambda wildcards: jobs[wildcards.name].threads
    resources:
        gpu=config["gpus"],
        mem_mb=32_000,
    message:
        "{wildcards.name}"
    shell:
        "OPENCV_FOR_THREADS_NUM={threads} exec {sys.executable:q} -m stt_study.engine.job"
        " {config[out]}/.plan.json {wildcards.name}"
