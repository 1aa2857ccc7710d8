"""Runs a profile's pages and the trainings they need, with Snakemake: what is stale, the last good page kept.

    python -m stt_study.engine.launch --profile laptop [--only 06 …] [--jobs 2] [--force] [-p name value]… [-- options]

`notebooks/profiles/<profile>.yaml` holds the parameters, `notebooks/order.yaml` what each page needs.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import yaml

from stt_core.errors import InputError
from stt_core.files import write_json
from stt_study.engine.plan import Job, plan
from stt_study.engine.progress import Progress, clock
from stt_study.exit_codes import DEBUG, OURS, THEIRS, one_sentence
from stt_study.store import ROOT, only_writer
from stt_study.times import kept

BLAME = f"{InputError.__name__}: "  # how the last line of a traceback begins where the input is at fault
PATIENCE = 30  # s, for a step of a training and its checkpoint
CORES = os.cpu_count() or 1
MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
LANES = max(1, min(CORES, MEMORY // 1_500_000_000))  # a training takes about 1.5 GB
PR_SET_PDEATHSIG = 1
SNAKEMAKE = ("--nolock", "--rerun-incomplete", "--keep-going", "--rerun-triggers", "params")
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # CUDA's matrix products give the same numbers each time
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # tqdm misses widgets that nobody would see here, and would say so in a page.
    "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:IProgress not found"])),
}


def apart() -> None:
    """In a session of its own, so that Ctrl-C comes to the launcher alone, and killed with it, however that went."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run(command: Sequence[str], log: Path, progress: Progress) -> int:
    """Snakemake to its end, with a line of progress; its exit code."""
    with open(log, "w") as file:
        how = {"stdout": file, "stderr": file, "env": os.environ | ENVIRONMENT}
        process = subprocess.Popen(command, preexec_fn=apart, **how)
    try:
        while process.poll() is None:
            time.sleep(0.2)
            progress.look()
        progress.look()
        return process.returncode
    finally:
        progress.line()
        if process.poll() is None:  # asked to stop; a second time, it isn't waited for
            try:
                os.killpg(process.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()


def report(jobs: Mapping[str, Job], log: Path) -> int:
    """Say on standard error what failed and what was skipped for that; the exit code."""
    lost, code = set(), 0
    for name, job in jobs.items():
        needs, error = [need for need in job.needs if need in lost], job.error
        if job.fresh:
            continue
        lost.add(name)
        if needs and not error:
            print(f"{name}: skipped: it needs {needs[0]}", file=sys.stderr)
        elif error.startswith(BLAME):
            print(f"{name}: {error.removeprefix(BLAME)}", file=sys.stderr)
            code = code or THEIRS
        else:
            place = f"traceback: {job.path('.traceback.txt')}" if error else f"Snakemake's words: {log}"
            print(f"{name}: {error or 'it did not run, or memory ran out'}\n    {place}", file=sys.stderr)
            code = OURS
    return code


def main() -> int:
    parser = argparse.ArgumentParser(prog="stt_study.engine.launch", description="Run the pages of one profile.")
    parser.add_argument("--profile", default="laptop", help="a file in notebooks/profiles")
    parser.add_argument("--only", nargs="+", default=[], metavar="NB", help="names or their beginnings, such as 06")
    parser.add_argument("--jobs", type=int, default=LANES, help="at a time")
    parser.add_argument("--gpus", type=int, default=0, help="of a cluster, for every job")
    parser.add_argument("--force", action="store_true", help="run chosen pages that are fresh, too")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="set a parameter")
    parser.add_argument(DEBUG, action="store_true", help="show the traceback where the launcher itself fails")
    parser.add_argument("options", nargs="*", help="of Snakemake, after --")
    given = parser.parse_args()
    with one_sentence(debug=given.debug):
        try:
            overrides = [(name, yaml.safe_load(value)) for name, value in given.p]
        except yaml.YAMLError as error:
            raise InputError(f"-p: {error}; give a value as YAML has it.") from None
        out, lanes = Path("runs", given.profile), max(1, given.jobs)
        jobs = plan(Path.cwd(), given.profile, overrides, only=given.only, lanes=lanes, gpus=given.gpus)
        with only_writer(out, patience=0):
            return _run_stale(given, jobs, out, lanes)


def _run_stale(given: argparse.Namespace, jobs: Mapping[str, Job], out: Path, lanes: int) -> int:
    stale = {name: job for name, job in jobs.items() if not job.fresh or (given.force and job.page)}
    if any(option == "-n" or option.startswith("--dry") for option in given.options):
        for job in stale.values():
            took = f"{clock(job.seconds)} last time" if job.seconds else "never run"
            after = job.needs[0] if len(job.needs) == 1 else f"{len(job.needs)} jobs"
            print(f"{job.name}: {job.threads} threads, {given.gpus} GPUs, {took}, after {after}")
        print(f"{len(stale)} of {len(jobs)} jobs to run")
        return 0
    for job in jobs.values():  # what earlier failures and kills have left
        left = [job.path(suffix) for suffix in (".failed.ipynb", ".traceback.txt", ".progress")]
        left += [job.done] if job.name in stale else []
        for path in (*left, *job.path("").parent.glob(f"{job.name}.*.running.ipynb")):
            path.unlink(missing_ok=True)
    if len(stale) < len(jobs):
        print(f"{len(jobs) - len(stale)} of {len(jobs)} jobs are fresh", flush=True)
    if not stale:
        return 0
    config, log = out / ".plan.json", out / ".snakemake.log"
    planned = {"profile": given.profile, "out": str(out), "gpus": given.gpus}
    write_json(config, planned | {"jobs": {name: asdict(job) for name, job in jobs.items()}})
    command = [sys.executable, "-m", "snakemake", "--configfile", str(config), *SNAKEMAKE, *given.options]
    if not any(option.startswith(("--executor", "-e")) for option in given.options):  # a cluster has its own
        command += ["--cores", str(lanes * max(1, CORES // lanes))]
    code = run(command, log, Progress(stale, lanes, kept().get(given.profile, {})))
    for job in stale.values():
        if given.only and job.page and job.fresh:
            print(job.path(".ipynb"))
    return report(stale, log) or (OURS if code else 0)


if __name__ == "__main__":
    sys.exit(main())
