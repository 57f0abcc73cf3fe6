"""Two processes of one run: they skip, go back and stop together, and the first alone writes."""

import json
import os
import socket
import subprocess
import sys

import pytest

from cmrjax.core import checkpoint
from cmrjax.core.writer import read_metrics
from cmrjax.health import read_events

COMMAND = """
import hashlib, json, sys
from pathlib import Path
from types import SimpleNamespace
import jax
import numpy as np
jax.config.update("jax_cpu_collectives_implementation", "gloo")
number, workdir = int(sys.argv[2]), Path(sys.argv[3])
jax.distributed.initialize(sys.argv[1], 2, number)
from cmrjax.core.errors import PreemptedError
from cmrjax.train import study_ids
from tests.toy import drive, toy_run
optim = {"learning_rate": 0.05, "warmup_steps": 0}
out = {}
for policy in ("skip", "rollback"):
    run = toy_run(optim=optim, health={"policy": policy}, log_every=2)
    # A signal that reaches the second process alone.
    options = {"damaged": {2: np.nan, 5: np.nan}, "devices": 2}
    try:
        drive(run, workdir / policy, stop_after=5 if number else None, **options)
        out[policy] = "ran to its end"
    except PreemptedError:
        out[policy] = "stopped"
    state = drive(run, workdir / policy, **options)
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
    out[policy + " bits"] = hashlib.sha256(b"".join(leaves)).hexdigest()
names = SimpleNamespace(index=SimpleNamespace(study_id=np.array(["0a", "0b", "0c"])))
out["studies"] = study_ids(names, np.array([[2 * number, -1]], np.int32))
print(json.dumps(out))
"""


@pytest.mark.slow
def test_two_processes_leave_out_go_back_and_stop_together(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, address, str(number), str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        ended = [job.communicate(timeout=300) for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    assert [job.returncode for job in jobs] == [0, 0], [errors[-2000:] for _, errors in ended]
    first, second = (json.loads(text.splitlines()[-1]) for text, _ in ended)
    assert first == second
    assert first["studies"] == ["0a", "0c"]
    assert first["skip"] == first["rollback"] == "stopped"
    assert first["skip bits"] == first["rollback bits"]
    for policy in ("skip", "rollback"):
        workdir = tmp_path / policy
        events = read_events(workdir)
        assert [event.step for event in events] == [2, 5]
        assert [row["step"] for row in read_metrics(workdir)] == [2, 4, 6, 8]
        assert checkpoint.steps(workdir)[-1] == 8
