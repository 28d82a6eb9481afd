"""Who does the jobs of a suite: this process, several of this machine, or a Dask cluster. The results are the same."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.scenarios.job import Job, Result, run_job

# Numerical libraries would start a thread a core each; jobs are many, so each keeps to one.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
TRIES = 3  # of a job whose worker of the cluster died


def in_this_process(jobs: Sequence[Job]) -> Iterator[Result]:
    """One after the other."""
    return map(run_job, jobs)


class Workers:
    """Several processes of this machine."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """Results as they come.

        Raises:
            InputError: if a worker died; what came before is kept.
        """
        os.environ.update(ONE_THREAD)  # the children begin with it
        with ProcessPoolExecutor(self._count, multiprocessing.get_context("spawn")) as pool:
            try:
                for future in as_completed([pool.submit(run_job, job) for job in jobs]):
                    yield future.result()
            except BrokenProcessPool as error:
                raise InputError("--workers", "a worker died; run the same command again to go on") from error


class Cluster:
    """A Dask cluster; jobs whose worker died are given to another one."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """Results as they come.

        Raises:
            InputError: if Dask is not installed, or the scheduler cannot be reached or was lost; what came before is
                kept.
        """
        try:
            from distributed import Client
            from distributed import as_completed as as_dask_completes
            from distributed.client import FutureCancelledError
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise InputError(
                "--dask", "Dask is not installed: pip install 'perception_platform[cluster]'"
            ) from error
        try:
            client = Client(self._address, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError("--dask", f"cannot reach {self._address}: {error}") from error
        with client:
            try:
                futures = client.map(run_job, jobs, pure=False, retries=TRIES)
                for _, result in as_dask_completes(futures, loop=client.loop, with_results=True):
                    yield result
            except (OSError, FutureCancelledError, KilledWorker) as error:
                lost = (
                    f"{self._address} was lost ({type(error).__name__}); run the same command again to go on"
                )
                raise InputError("--dask", lost) from error


def runner_for(workers: int, dask: str | None) -> Any:
    """The runner that the command line asks for."""
    if dask is not None:
        return Cluster(dask)
    return Workers(workers) if workers > 1 else in_this_process


def all_of(runner: Any, jobs: Sequence[Job]) -> Iterable[Result]:
    """Results of jobs in their order."""
    found = {(r.line["case"], r.line["policy"]): r for r in runner(jobs)}
    return [found[job.key] for job in jobs]
