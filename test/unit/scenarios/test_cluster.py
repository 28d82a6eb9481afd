"""A Dask cluster on this machine: the same bytes as one process, and a lost scheduler is told."""

import pytest

from perception_platform.core.errors import InputError
from perception_platform.scenarios.runners import Cluster, in_this_process, runner_for
from perception_platform.scenarios.suite import RESULTS, Suite, random_cases, run_suite
from test.unit.scenarios.families import family

pytest.importorskip("distributed", reason="Dask is in the extra 'cluster'")

SUITE = Suite("test", random_cases([family()], 4, 0), ("none",))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask and what it brings along
def test_a_cluster_writes_the_same_bytes_as_one_process(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        run_suite(SUITE, tmp_path / "cluster", runner_for(1, cluster.scheduler_address))
    run_suite(SUITE, tmp_path / "one", in_this_process)
    assert (tmp_path / "cluster" / RESULTS).read_bytes() == (tmp_path / "one" / RESULTS).read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_costs_nothing(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        killed = []

        def kill_one(result):
            if not killed:
                killed.append(next(iter(cluster.workers.values())).kill())

        run_suite(SUITE, tmp_path / "cluster", runner_for(1, cluster.scheduler_address), kill_one)
    run_suite(SUITE, tmp_path / "one", in_this_process)
    assert (tmp_path / "cluster" / RESULTS).read_bytes() == (tmp_path / "one" / RESULTS).read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_one_clear_line(monkeypatch):
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(InputError, match="cannot reach"),
    ):
        list(Cluster("tcp://127.0.0.1:1")(SUITE.jobs()))
