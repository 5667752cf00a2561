"""One training step of the miniature MLLM, eagle-core's and PyTorch's in turn, and the ratios.

Usage: python scripts/bench_step.py [--rounds 5] [--steps 20] [--threads 2] [--train all projector encoders]
                                    [--checkpointing] [--cpu]
Needs: torch (2.4 or newer), safetensors, cargo. Both sides start from the same weights and see the
same batch (`scripts/mini_mllm.py`). In each round each side is a fresh process; a number is the median
over the rounds of a process's median step. A ratio above 1 says that eagle-core is faster. The floor is
the step's products (counted by PyTorch) at the rate that eagle-core's product of two matrices of 1024 by
1024 was measured at in the same processes. `--cpu` compares processor time per step on one thread: for a
machine that is not idle. Fails if any of the first 20 losses differ by more than 1e-4 relative.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from safetensors.torch import load_file, save_file

import mini_mllm

WARM = 5


def prepare(path):
    torch.manual_seed(0)
    sizes = mini_mllm.Sizes()
    model = mini_mllm.MiniMllm(sizes)
    save_file(mini_mllm.bundle(sizes, model, mini_mllm.batch(sizes)), path)


def restore(path):
    tensors = load_file(path)
    model = mini_mllm.MiniMllm(mini_mllm.Sizes())
    data = tensors.pop("image"), tensors.pop("ids").long(), tensors.pop("labels").long()
    model.load_state_dict({name: x for name, x in tensors.items() if not name.startswith("heads.")})
    return model, data


def peak_mb():
    text = pathlib.Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def torch_side(path, train, steps):
    """What eagle-core's benchmark prints, of PyTorch."""
    model, data = restore(path)
    optimiser = mini_mllm.training(model, train)
    times, losses = [], []
    for i in range(steps + WARM):
        if i == WARM:
            busy = time.process_time()
        start = time.perf_counter()
        losses.append(mini_mllm.step(model, optimiser, data))
        times.append((time.perf_counter() - start) * 1e3)
    busy = (time.process_time() - busy) / steps * 1e3
    print(json.dumps({"ms": statistics.median(times[WARM:]), "cpu_ms": busy, "batch": len(data[0]),
                      "peak_mb": peak_mb(), "losses": losses}))


def gflop(path, train):
    from torch.utils.flop_counter import FlopCounterMode
    model, data = restore(path)
    mini_mllm.training(model, train)
    with FlopCounterMode(display=False) as counter:
        model(*data).backward()
    return counter.get_total_flops() / 1e9


def call(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(path, train, a):
    tail = [str(path), train, "--threads", str(a.threads), "--steps", str(a.steps)]
    ours = ["cargo", "bench", "-q", "-p", "eagle-core", "--bench", "step", "--", *tail]
    ours += ["--checkpointing"] if a.checkpointing else []
    theirs = [sys.executable, __file__, "--side", *tail]
    results = [(call(ours), call(theirs)) for _ in range(a.rounds)]
    for mine, other in results:
        for i, (x, y) in enumerate(zip(mine["losses"][:20], other["losses"])):
            assert abs(x - y) <= 1e-4 * abs(y), f"{train}: the loss of step {i} is {x}, PyTorch's {y}"
    of = lambda key: [statistics.median(pair[side][key] for pair in results) for side in (0, 1)]
    clock = "cpu_ms" if a.cpu else "ms"
    (mine, other), memory = of(clock), of("peak_mb")
    rate = statistics.median(pair[0]["gflop_per_s"] for pair in results)
    work, batch = gflop(path, train), results[0][0]["batch"]
    floor = work / rate * 1e3
    print(f"{train:10} {mine:8.1f} {other:8.1f} {other / mine:6.2f} {batch / mine * 1e3:10.1f} {work:7.2f} {rate:9.1f} "
          f"{floor:8.1f} {mine / floor:6.2f} {memory[0]:8.0f} {memory[1]:8.0f} {memory[0] / memory[1]:6.2f}", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--train", nargs="+", default=["all", "projector", "encoders"])
    p.add_argument("--checkpointing", action="store_true")
    p.add_argument("--cpu", action="store_true", help="processor time on one thread: for a busy machine")
    p.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.threads = 1 if a.cpu else a.threads
    torch.set_num_threads(a.threads)
    if a.side:
        return torch_side(a.side[0], a.side[1], a.steps)
    print(f"{a.threads} threads, {a.rounds} rounds of {a.steps} steps, {'processor' if a.cpu else 'wall'} time")
    print(f"{'trained':10} {'eagle ms':>8} {'torch ms':>8} {'ratio':>6} {'samples/s':>10} {'GFLOP':>7} {'GFLOP/s':>9} "
          f"{'floor ms':>8} {'x':>6} {'eagle MB':>8} {'torch MB':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mini.safetensors"
        prepare(path)
        for train in a.train:
            compare(path, train, a)


if __name__ == "__main__":
    main()
