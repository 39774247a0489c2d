"""Sweeps on a real Ray, started on this machine, and what is done to its workers."""

import os
import signal
from pathlib import Path

import hazards
import pytest
import tiny_workload
from places import PYTHONPATH

from tuning import read_records, run_sweep
from tuning.engines.engine import Began, Finished, Lost, WorkerStartError
from tuning.engines.options import EngineOptions
from tuning.grid import Run
from tuning.runs_file import RUNS_FILE
from tuning.trainers.task import Task

ray = pytest.importorskip("ray", reason="the engine 'ray' needs ray: extra cluster")

# Ray leaves sockets and files to its background processes.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray.*"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Ray with two cores, started once, and a mark for `hazards.KILLED_ONCE`.

    It is told of a GPU that is not there: shares of it are counted all the same.
    """
    mark = tmp_path_factory.mktemp("ray") / "mark"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(hazards.MARK, str(mark))
        patch.setenv("PYTHONPATH", PYTHONPATH)
        ray.init(
            num_cpus=2,
            num_gpus=1,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=80 * 2**20,
        )
        yield mark
        ray.shutdown()


def test_a_sweep_on_ray_survives_a_killed_worker_and_a_run_that_hangs(
    cluster, tmp_path, caplog
):
    rates = [hazards.FINE, hazards.DIVERGES, hazards.KILLED_ONCE, hazards.HANGS]
    out = tmp_path / "sweep"
    records = run_sweep(
        hazards.WORKLOAD,
        out,
        optimizers={"keras.SGD": hazards.hazardous},
        learning_rates=rates,
        seeds=1,
        execution="model.fit",
        engine="ray",
        run_timeout=15,
    )
    status = {record.learning_rate: record.status for record in records}
    assert status == {
        hazards.FINE: "ok",
        hazards.DIVERGES: "diverged",
        hazards.KILLED_ONCE: "ok",
        hazards.HANGS: "failed",
    }
    assert cluster.exists()  # it has been killed
    assert caplog.text.count("the run is tried again") == 1
    assert {r.run_id for r in read_records(out)} == {r.run_id for r in records}
    assert len((out / RUNS_FILE).read_text().splitlines()) == len(rates)
    assert len(list(out.glob("tensorboard/keras.SGD/*/*/*/events.*"))) == len(rates)
    assert "ended after 15 s" in (out / "failures.log").read_text()
    assert ray.is_initialized()  # a cluster that others started stays


def test_a_worker_that_is_killed_from_outside_is_lost_and_replaced(cluster):
    from tuning.engines.ray_cluster import RayEngine

    workload = tiny_workload.make_workload(build_model=tells_where_it_is)
    task = Task(workload, tiny_workload.load_data(), 1, execution="model.fit")
    engine = RayEngine(task, EngineOptions("ray", workers=1))
    try:
        pid_file = Path(os.environ[hazards.MARK]).with_name("pid")
        engine.start(0, Run("keras.SGD", 16, 0.1, 0))
        assert engine.wait(60) == Began(0)
        while not (pid_file.exists() and pid_file.read_text()):
            assert engine.wait(0.1) is None
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        lost = engine.wait(60)
        assert isinstance(lost, Lost)
        assert lost.worker == 0
        pid_file.with_name("go").touch()
        engine.start(0, Run("keras.SGD", 16, 0.1, 0))
        assert engine.wait(60) == Began(0)
        finished = engine.wait(60)
        assert isinstance(finished, Finished)
        assert finished.record.status == "ok"
    finally:
        engine.close()


def tells_where_it_is():
    """A model whose building writes its process down and waits to be let go on."""
    import time

    pid_file = Path(os.environ[hazards.MARK]).with_name("pid")
    pid_file.write_text(str(os.getpid()))
    while not pid_file.with_name("go").exists():
        time.sleep(0.05)
    return tiny_workload.build_model()


def test_a_cluster_without_room_is_told(cluster):
    from tuning.engines.ray_cluster import RayEngine

    task = Task(tiny_workload.WORKLOAD, tiny_workload.load_data(), 1)
    with pytest.raises(ValueError, match=r"2 cores and 1 GPUs, no room.*1.5 GPUs"):
        RayEngine(task, EngineOptions("ray", gpus_per_run=1.5))


def test_runs_share_a_gpu_by_fractions(cluster):
    from tuning.engines.ray_cluster import RayEngine

    task = Task(
        tiny_workload.WORKLOAD, tiny_workload.load_data(), 1, execution="model.fit"
    )
    for share, workers in ((1, 1), (0.6, 1), (0.5, 2), (0.25, 2)):  # two cores
        engine = RayEngine(task, EngineOptions("ray", gpus_per_run=share))
        engine.close()
        assert engine.workers == workers
    engine = RayEngine(task, EngineOptions("ray", gpus_per_run=0.5))
    try:
        for worker in range(2):
            engine.start(worker, Run("keras.SGD", 16, 0.1, worker))
        told = [engine.wait(300) for _ in range(4)]
        finished = [event for event in told if isinstance(event, Finished)]
        assert [event.record.status for event in finished] == ["ok"] * 2
        # Both are still there, and hold a half each.
        assert ray.available_resources().get("GPU", 0) == 0
    finally:
        engine.close()


def test_a_worker_that_cannot_be_set_up_is_told_once(cluster):
    from tuning.engines.ray_cluster import RayEngine

    task = Task(tiny_workload.WORKLOAD, tiny_workload.load_data(), 1, execution="no")
    engine = RayEngine(task, EngineOptions("ray", workers=1))
    try:
        engine.start(0, Run("keras.SGD", 16, 0.1, 0))
        with pytest.raises(WorkerStartError, match="execution must be one of"):
            engine.wait(60)
    finally:
        engine.close()
