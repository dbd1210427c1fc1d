"""Running steps elsewhere: as another process would be given them, and on a Ray cluster of two nodes."""

import os
import pickle
import sys
from contextlib import contextmanager


def content(folder):
    """Give the bytes of every file below a folder."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def backwards(step, tasks):
    """As another process would be given them: tasks and step come pickled, and the last one is the first to be done."""
    for task in reversed(tasks):
        pickle.loads(pickle.dumps(step))(pickle.loads(pickle.dumps(task)))
        yield task


@contextmanager
def two_nodes():
    """A cluster of two nodes of one processor each, which this process has joined."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    try:
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        ray.init(address=cluster.address, runtime_env={"env_vars": paths})
        assert sum(node["Alive"] for node in ray.nodes()) == 2
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
