"""A whole job on Ray: several nodes on this machine, which are taken away while they work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from helpers import ROOT, full, run_script, wait_until
from patclass.core.errors import ConfigError
from patclass.scale.ray_data import connect
from scale_jobs import ids_of, request_of, write_input

pytest.importorskip("ray", reason="Ray is not installed")

# Ray's own processes and those of workers are as important as the rest of the tests.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "RAY_worker_niceness": "0"}


def start(source: Path, folder: Path, bundle: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "patclass", "classify", source, "-o", folder),
            *("--model", bundle, "--device", "cpu", "--resume"),
            *("--engine", "ray", "--workers", "2"),
        ],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_all_rows_are_classified_though_a_worker_is_killed(tmp_path: Path, bundle: Path):
    ids = write_input(tmp_path / "in", more=full(2, 8))
    folder = tmp_path / "out"
    process = start(tmp_path / "in", folder, bundle)
    wait_until(lambda: list(folder.glob("_parts/0*.json")))
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.name().startswith("ray::MapWorker")
    ]
    workers[0].kill()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert f"{len(ids):,} rows" in out
    assert ids_of(folder) == ids
    assert json.loads((folder / "_summary.json").read_text())["failed"] == {}


NODES = """
import json, sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from patclass.scale.job import Request
from patclass.scale.ray_data import connect, run_on_ray
from patclass.scale.run import Workers, run_job

request, bundle, out, share = sys.argv[1:]
request, out = Request.model_validate_json(request), Path(out)
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
connect(cluster.address, 1)

def take_away():
    while not (out / "_job.json").exists():
        time.sleep(0.05)
    parts = len(json.loads((out / "_job.json").read_text())["parts"])
    while len(list(out.glob("_parts/0*.json"))) < float(share) * parts:
        time.sleep(0.05)
    # Not the one through which this process itself talks to the cluster.
    own = ray.get_runtime_context().get_node_id()
    other = next(node for node in nodes if node.node_id != own)
    cluster.remove_node(other, allow_graceful=False)

thread = threading.Thread(target=take_away)
thread.start()
print(run_job(request, bundle, str(out), Workers(run_on_ray, 2, "cpu")).model_dump_json())
thread.join()
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.full
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_node_that_goes_takes_no_row_with_it(
    tmp_path: Path, bundle: Path, share: float, monkeypatch: pytest.MonkeyPatch
):
    ids = write_input(tmp_path / "in", more=8)
    request = request_of(tmp_path / "in", bundle).model_dump_json()
    monkeypatch.setenv("RAY_worker_niceness", "0")
    printed = run_script(NODES, request, bundle, tmp_path / "out", share)
    assert json.loads(printed.splitlines()[-1])["rows"] == len(ids)
    assert ids_of(tmp_path / "out") == ids


def test_a_cluster_that_does_not_answer_is_named():
    with pytest.raises(ConfigError, match=r"address 127\.0\.0\.1:1: no Ray cluster answers"):
        connect("127.0.0.1:1", cores=1)
