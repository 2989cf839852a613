"""Which counts of threads are worth measuring on this machine, by its cores, their hardware threads and its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from pipeline.runtime.threads import num_numa_nodes, num_visible_cores, num_visible_cpus


def topology(num_threads: int) -> str:
    """What of this machine's build the counts of threads are chosen by."""
    cpus, cores, nodes = num_visible_cpus(), num_visible_cores(), num_numa_nodes()
    sentences = [f"{num_threads} threads at most: {cpus} CPUs, {cores} physical cores, NUMA nodes: {nodes}."]
    if cpus > cores:
        sentences.append("Two threads of a core share its arithmetic: the plan divides cores.")
    if nodes > 1:
        sentences.append(
            "A replica across nodes reads its weights from the other one's memory: start one Ray node on each with "
            "`numactl --cpunodebind=N --membind=N ray start`."
        )
    return " ".join(sentences)


def suggested_counts(num_cores: int) -> list[int]:
    """Threads that the machine's build suggests where all its cores are divided: of SMT, and of one NUMA node."""
    if num_cores != num_visible_cores():
        return []
    return [num_visible_cpus(), max(1, num_cores // num_numa_nodes())]


def thread_counts(num_cores: int, others: Sequence[int] = ()) -> list[int]:
    """One thread, a quarter, half and all of the cores, and others."""
    return sorted({*others, *(max(1, num_cores // part) for part in (num_cores, 4, 2, 1))})


def splits(num_cores: int, others: Sequence[int] = ()) -> list[tuple[int, int]]:
    """(acoustic, token2wav) threads that leave no core without work, the article's even split among them."""
    counts = [count for count in thread_counts(num_cores, others) if count >= num_cores // 4]
    return [split for split in product(counts, counts) if sum(split) >= num_cores]
