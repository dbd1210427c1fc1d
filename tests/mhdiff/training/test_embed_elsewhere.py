"""Shards of embeddings that are encoded by other processes or machines are the same to the byte."""

import pytest
import torch

from mhdiff.training import embed
from mhdiff.training.embed_shard import Source
from mhdiff.training.run import open_run
from tests.elsewhere import backwards, content, two_nodes


@pytest.fixture
def written(small_run, tmp_path):
    """A function that writes shards of 25 samples somewhere, and what it writes here."""
    source = Source(str(small_run))
    module, data = open_run(small_run)

    def write(name, on=None):
        out = embed.write(module, data, tmp_path / name, data.modalities, shard=25, on=on, source=source)
        return content(out)

    return write


def test_shards_in_another_order_by_whoever_opens_the_run_again(written):
    here = written("here")
    assert sum(name.startswith("shard-") for name in here) > 2
    assert written("there", backwards) == here


def test_a_shard_takes_the_threads_of_whom_it_is_made_for(written):
    tasks = []

    def told(step, given):
        tasks.extend(given)
        return backwards(step, given)

    written("there", told)
    assert {task.threads for task in tasks} == {torch.get_num_threads()}


@pytest.mark.slow
def test_two_nodes_of_ray_give_the_same_bytes(written):
    from mhdiff.mapped import on_ray

    here = written("here")
    with two_nodes():
        assert written("there", on_ray()) == here
