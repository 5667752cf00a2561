"""Pictures per second from JPEG files to normalised planes: this engine's loader threads beside
PyTorch's DataLoader with Pillow, both with two workers, in turn.

    python scripts/bench_data.py [ROUNDS]

Makes 256 JPEGs of about 640 x 480 (smooth shapes with fine noise, quality 90: some 100 kB each, as
photographs are). Needs torch, pillow and numpy, and cargo for `cargo bench -p eagle-core --bench data`.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from PIL import Image, ImageFilter

WORKERS = 2
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def make(folder, count=256):
    random = np.random.default_rng(0)
    for number in range(count):
        width, height = int(random.integers(600, 681)), int(random.integers(440, 521))
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        image = np.asarray(coarse.resize((width, height), Image.BICUBIC), np.float32)
        grain = Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8))
        grain = np.asarray(grain.filter(ImageFilter.GaussianBlur(1)), np.float32)[..., None] - 128
        image = np.clip(image + 0.8 * grain, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(f"{folder}/{number:04}.jpg", quality=90)


class Pictures(torch.utils.data.Dataset):
    def __init__(self, folder, size):
        self.files = sorted(f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".jpg"))
        self.size = size

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        image = Image.open(self.files[index]).convert("RGB").resize((self.size, self.size), Image.BICUBIC)
        pixels = np.asarray(image, np.float32) / np.float32(255)
        return torch.from_numpy(np.ascontiguousarray(((pixels - MEAN) / STD).transpose(2, 0, 1)))


def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def torch_loader(folder, size):
    """Pictures per second of one pass (workers are there already), and processor ms per picture."""
    pictures = Pictures(folder, size)
    loader = torch.utils.data.DataLoader(
        pictures, batch_size=32, num_workers=WORKERS, persistent_workers=True, prefetch_factor=2)
    for _ in loader:
        pass
    before, start = cpu(), time.perf_counter()
    for _ in loader:
        pass
    seconds = time.perf_counter() - start
    count = len(pictures)
    del loader._iterator
    del loader
    # The workers' time is told when they have ended: two passes of theirs.
    return count / seconds, 1e3 * (cpu() - before) / (2 * count)


def main():
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    bench = ["cargo", "bench", "-q", "-p", "eagle-core", "--bench", "data", "--"]
    with tempfile.TemporaryDirectory() as folder:
        make(folder)
        kilobytes = sum(os.path.getsize(f"{folder}/{f}") for f in os.listdir(folder)) / 256e3
        print(f"256 JPEGs, {kilobytes:.0f} kB each; {WORKERS} workers; best of {rounds} rounds in turn")
        for size in (336, 1024):
            ours, theirs = [], []
            for _ in range(rounds):
                call = bench + [folder, str(size), "--threads", str(WORKERS), "--rounds", "1"]
                out = subprocess.run(call, cwd=root, capture_output=True, text=True, check=True).stdout
                told = json.loads(out.strip().splitlines()[-1])
                ours.append((told["per_second"], told["cpu_ms"]))
                theirs.append(torch_loader(folder, size))
            (a, a_cpu), (b, b_cpu) = [(max(p for p, _ in x), min(c for _, c in x)) for x in (ours, theirs)]
            print(f"{size}: eagle-lab {a:.0f}/s ({a_cpu:.1f} ms of processor each), "
                  f"PyTorch {b:.0f}/s ({b_cpu:.1f} ms), ratio {a / b:.2f} ({b_cpu / a_cpu:.2f} by processor time)")


if __name__ == "__main__":
    main()
