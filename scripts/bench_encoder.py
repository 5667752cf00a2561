"""CLIP-L/14 at 336 pixels, full size, random weights: eagle-core's forward pass and transformers' in turn.

Usage: python scripts/bench_encoder.py [--rounds 5] [--runs 5] [--threads 2] [--batch 1]
Needs: torch, transformers, cargo. In each round each side is a fresh process and gives the median of its runs;
a number is the median over the rounds. A ratio above 1 says that eagle-core is faster.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

PLUGIN = 'ClipVit(class_token: Inside)'


def transformers_side(threads, runs, batch):
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.set_num_threads(threads)
    config = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        image_size=336, patch_size=14)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = CLIPVisionModel(config).eval()
    image = torch.randn(batch, 3, 336, 336)
    times = []
    with torch.no_grad():
        for _ in range(runs + 1):
            start = time.perf_counter()
            model(image)
            times.append((time.perf_counter() - start) * 1e3)
    return {"ms": statistics.median(times[1:])}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("rounds", 5), ("runs", 5), ("threads", 2), ("batch", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    numbers = [str(x) for x in (options.threads, options.runs, options.batch)]
    if options.side:
        print(json.dumps(transformers_side(options.threads, options.runs, options.batch)))
        return
    flags = [x for pair in zip(("--threads", "--runs", "--batch"), numbers) for x in pair]
    ours = ["cargo", "bench", "-q", "-p", "eagle-plugins", "--bench", "encoder", "--", PLUGIN, *flags]
    theirs = [sys.executable, __file__, "--side", *flags]
    rounds = [(run(ours)["ms"], run(theirs)["ms"]) for _ in range(options.rounds)]
    eagle, torch = (statistics.median(side) for side in zip(*rounds))
    ratios = sorted(b / a for a, b in rounds)
    print(f"{PLUGIN}, batch {options.batch}, {options.threads} threads: eagle {eagle:.0f} ms, "
          f"transformers {torch:.0f} ms, ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
