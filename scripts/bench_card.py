"""The engine's tests and its comparison with PyTorch on an NVIDIA card, in one command.

Usage: python scripts/bench_card.py [--out card.json] [--cases mini-32 clip-forward …] [--precision Bf16] [--steps 20]
                                    [--rounds 3] [--skip-tests] [--device cuda|emulated|cpu] [--tiny]
Needs: cargo, CUDA 12 or 13; for PyTorch's side torch (2.4 or newer), which is left out with a note where it
doesn't import.

First the tests of the engine run on the card (`cargo test -p eagle-core --features cuda`). Then each case runs as a
fresh process of either side, in turn, `--rounds` times; a number is the median over the rounds of a process's median.
Both sides have the same network (`scripts/mini_mllm.py`) and random weights. PyTorch computes under bf16 autocast, with
SDPA and fused AdamW, frozen weights in bf16. A ratio above 1 says that eagle-core is faster; 0.8 is the aim. What
fails is a row with its error, and the exit code says so. Prints a table, and writes all numbers as JSON.

`--device emulated` runs the card's kernels on the CPU, `--device cpu` the CPU's; with `--tiny` all sizes are so small
that either ends within minutes: for trying this script on a machine without a card.
"""
import argparse
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

try:
    import torch
    import mini_mllm
except ImportError:
    torch = None

ROOT = pathlib.Path(__file__).resolve().parent.parent
WARM = 3
CLIP = dict(encoders=1, image=448, patch=14, vit_width=1024, vit_layers=24, vit_heads=16, width=4096, layers=32, heads=32,
            hidden=11008, vocabulary=32000, text=256)
TINY = dict(encoders=1, image=16, patch=8, vit_width=16, vit_layers=1, vit_heads=2, width=16, layers=1, heads=2,
            hidden=24, vocabulary=20, text=3)
# Sizes, what is timed, batch: as in core/benches/card.rs.
CASES = {
    "mini-32": ({}, "all", 32),
    "mini-512": ({}, "all", 512),
    "clip-forward": (CLIP, "forward", 32),
    "clip-forward-backward": (CLIP, "forward-backward", 32),
    "llama-7b-pre-alignment": (CLIP, "encoders", 4),
    "llama-7b-projector": (CLIP, "projector", 4),
}
FEATURES = {"cuda": ["--features", "cuda"], "emulated": ["--features", "card"], "cpu": []}


def torch_side(a):
    """What eagle-core's benchmark prints, of PyTorch."""
    sizes, work, batch = CASES[a.side]
    sizes = mini_mllm.Sizes(**{**(TINY if a.tiny else sizes), "batch": 2 if a.tiny else batch})
    on = "cuda" if a.device == "cuda" else "cpu"
    torch.manual_seed(0)
    if a.tiny:
        torch.set_num_threads(1)
    with torch.device(on):
        whole = work not in ("forward", "forward-backward")
        model = mini_mllm.MiniMllm(sizes) if whole else mini_mllm.Vit(sizes)
        data = mini_mllm.batch(sizes)
    if whole:
        optimiser = mini_mllm.training(model, work)
    for parameter in model.parameters():
        if work == "forward" or not parameter.requires_grad:
            parameter.requires_grad_(False)
            parameter.data = parameter.data.bfloat16() if on == "cuda" and a.precision == "Bf16" else parameter.data
    if on == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = a.precision == "Tf32"
    autocast = torch.autocast(on, torch.bfloat16, enabled=a.precision == "Bf16" and on == "cuda")

    def run():
        with autocast:
            if whole:
                loss = model(*data)
            else:
                loss = model(data[0]).mean(1)
        if not whole:
            if work == "forward-backward":
                model.zero_grad()
                loss.backward(torch.ones_like(loss))
                return model.patch.bias.grad[0].item()
            return loss[0, 0].item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    times = []
    for _ in range(WARM + a.steps):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    times = times[WARM:]
    taken = torch.cuda.max_memory_reserved() if on == "cuda" else 0
    print(json.dumps({"ms": statistics.median(times), "least_ms": min(times), "batch": sizes.batch, "bytes": taken}))


def call(command):
    """The last line that a process prints, or what went wrong."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    return {"error": (done.stderr or done.stdout).strip().splitlines()[-5:]}


def tests(a):
    start = time.time()
    command = ["cargo", "test", "--release", "-p", "eagle-core", *FEATURES[a.device], "--no-fail-fast"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    counts = re.findall(r"test result: \w+\. (\d+) passed; (\d+) failed", done.stdout)
    passed, failed = (sum(int(count[i]) for count in counts) for i in (0, 1))
    names = sorted(set(re.findall(r"^test (\S+) \.\.\. FAILED", done.stdout, re.M)))
    result = {"passed": passed, "failed": failed, "names": names, "seconds": round(time.time() - start), "exit": done.returncode}
    if done.returncode and not names:
        result["error"] = done.stderr.strip().splitlines()[-5:]
    return result


def median(results, key):
    values = [result[key] for result in results if key in result]
    return statistics.median(values) if len(values) == len(results) and values else None


def compare(name, a):
    ours = ["cargo", "bench", "-q", "-p", "eagle-core", *FEATURES[a.device], "--bench", "card", "--", name]
    ours += ["--steps", str(a.steps), "--precision", a.precision] + (["--tiny"] if a.tiny else [])
    theirs = [sys.executable, __file__, "--side", name, "--steps", str(a.steps), "--precision", a.precision]
    theirs += ["--device", a.device] + (["--tiny"] if a.tiny else [])
    pairs = [(call(ours), call(theirs) if torch else {"error": ["torch doesn't import"]}) for _ in range(a.rounds)]
    row = {"case": name, "batch": median([pair[0] for pair in pairs], "batch")}
    for i, side in enumerate(("eagle", "torch")):
        results = [pair[i] for pair in pairs]
        row[side] = {key: median(results, key) for key in ("ms", "least_ms", "bytes")}
        row[side]["errors"] = [result["error"] for result in results if "error" in result]
    # Of sizes that only try the script a ratio says nothing.
    if row["eagle"]["ms"] and row["torch"]["ms"] and not a.tiny:
        row["ratio"] = row["torch"]["ms"] / row["eagle"]["ms"]
    return row


def line(row):
    number = lambda x, digits: "—" if x is None else f"{x:.{digits}f}"
    gb = lambda side: number(row[side]["bytes"] and row[side]["bytes"] / 2**30, 1)
    return (f"| {row['case']} | {number(row['batch'], 0)} | {number(row['eagle']['ms'], 2)} | {number(row['torch']['ms'], 2)} | "
            f"{number(row.get('ratio'), 2)} | {gb('eagle')} | {gb('torch')} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default="card.json")
    p.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    p.add_argument("--precision", default="Bf16", choices=["F32", "Tf32", "Bf16"])
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--skip-tests", action="store_true")
    p.add_argument("--device", default="cuda", choices=list(FEATURES))
    p.add_argument("--tiny", action="store_true")
    p.add_argument("--side", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.device == "cpu":
        a.precision = "F32"
    if a.side:
        return torch_side(a)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    about = {"commit": commit, "machine": platform.machine(), "device": a.device, "precision": a.precision, "tiny": a.tiny,
             "torch": torch and torch.__version__}
    if a.device == "cuda" and torch and torch.cuda.is_available():
        about["card"] = torch.cuda.get_device_name(0)
    report = {**about, "tests": None if a.skip_tests else tests(a), "cases": []}
    if report["tests"]:
        print(f"tests: {report['tests']['passed']} passed, {report['tests']['failed']} failed", flush=True)
    print("| case | batch | eagle ms | torch ms | ratio | eagle GB | torch GB |\n|---|---|---|---|---|---|---|", flush=True)
    for name in a.cases:
        report["cases"].append(compare(name, a))
        print(line(report["cases"][-1]), flush=True)
        for side in ("eagle", "torch"):
            for error in report["cases"][-1][side]["errors"][:1]:
                print(f"  {side}: {' / '.join(error)}", file=sys.stderr)
    pathlib.Path(a.out).write_text(json.dumps(report, indent=1) + "\n")
    bad = any(row["eagle"]["errors"] for row in report["cases"]) or bool(report["tests"] and report["tests"]["exit"])
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
