"""The benchmark of the losses: the memory that it claims, and real rows of small batches."""

import sys

import pytest

from cmrjax.benchmarks import losses
from cmrjax.benchmarks.losses import (
    compile_loss,
    one_device_row,
    ring_row_in_new_process,
)
from cmrjax.core.partitioning import make_mesh


def temporary(loss) -> int:
    return loss.memory_analysis().temp_size_in_bytes


def test_a_chunked_softmax_needs_an_eighth_of_the_dense_ones_memory():
    # Compiled for 8,192 videos and not run.
    chunked, dense = (compile_loss("softmax", losses.BATCH, form) for form in ("chunked", "dense"))
    assert temporary(chunked) <= temporary(dense) / 8


def test_a_ring_gathers_nothing_and_needs_a_quarter_of_the_memory():
    mesh = make_mesh({"data": 4, "fsdp": 2})
    ring, gathered = (
        compile_loss("softmax", losses.BATCH, form, mesh) for form in ("ring", "all-gather")
    )
    assert temporary(ring) <= temporary(gathered) / 4
    assert "all-gather" in gathered.as_text()
    assert "all-gather" not in ring.as_text()
    assert "collective-permute" in ring.as_text()


def test_a_row_of_one_device():
    row = one_device_row("softmax", 256, seconds=0.01)
    assert row.reference == "the whole matrix"
    assert row.ours_s
    assert row.speedup == pytest.approx(row.reference_s / row.ours_s)
    assert row.extra["memory_factor"] == pytest.approx(row.reference_mb / row.ours_mb, abs=0.1)


def test_rows_of_eight_devices_are_measured_in_a_process_that_has_them(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")  # of these tests, which have eight devices already
    row = ring_row_in_new_process("sigmoid", 64, seconds=0.01)
    assert row.reference == "all-gather"
    assert row.speedup
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RuntimeError, match="8 devices failed: "):
        ring_row_in_new_process("sigmoid", 64)


def test_rows_are_chosen_by_name(monkeypatch):
    monkeypatch.setattr(losses, "LARGE_BATCH", 64)
    (row,) = losses.run(("sigmoid, one device, batch 64",))
    assert row.name == "sigmoid, one device, batch 64"
    assert row.ours_s
    assert row.reference_s is None
