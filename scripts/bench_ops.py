"""Times eagle-core's operations and PyTorch's in turn, and prints the ratios.

Usage: python scripts/bench_ops.py [--filter NAME] [--rounds 3] [--threads 2] [--least | --cpu]
Needs: torch (any 2.x), cargo. Each round runs the Rust benchmark, then PyTorch; a number is the
median over the rounds of a round's median. A ratio above 1 says that eagle-core is faster.
"""
import argparse
import math
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F

r = torch.randn
CLOCK = time.perf_counter
DOWN = lambda x: x.contiguous(memory_format=torch.channels_last)


def attend(causal):
    def f(q, k, v):
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2)
    return f


def decomposed(q, k, v, rows, columns):
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    bias = (rows[..., :, None] + columns[..., None, :]).flatten(-2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2)


def biased(q, k, v, bias):
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None]).transpose(1, 2)


DISTANCES = torch.arange(28)[:, None] - torch.arange(28)[None, :] + 27


def relative(q, table):
    return torch.einsum("bhwnc,hkc->bnhwk", q.unflatten(1, (28, 28)), table[DISTANCES]).flatten(2, 3)


def windows(x):
    x = F.pad(x, (0, 0, 0, 6, 0, 6))
    return x.view(1, 5, 14, 5, 14, 256).transpose(2, 3).reshape(-1, 196, 256)


def rotary(x):
    cos, sin = COS, SIN
    return x * cos + torch.cat((-x[..., 24:], x[..., :24]), -1) * sin


angles = r(96, 24)
COS, SIN = (torch.cat((t, t), -1)[None, :, None] for t in (angles.cos(), angles.sin()))
ids = torch.arange(1024) * 7 % 512
linear = lambda act=lambda x: x: lambda x, w, b: act(F.linear(x, w, b))
shape = lambda m, n, k: [r(m, k), r(n, k), r(n)]
gelu_tanh = lambda x: F.gelu(x, approximate="tanh")
conv = lambda **kw: lambda x, w, b: F.conv2d(x, w, b, **kw)
resize = lambda **kw: lambda x: F.interpolate(x, (24, 24), align_corners=False, **kw)

# name: (function, inputs, indices of frozen inputs)
CASES = {
    "linear.fc1_gelu_tanh": (linear(gelu_tanh), shape(2048, 512, 128), []),
    "linear.fc2": (linear(), shape(2048, 128, 512), []),
    "linear.qkv": (linear(), shape(2048, 384, 128), []),
    "linear.project_gelu": (linear(F.gelu), shape(2048, 192, 256), []),
    "linear.llm_q": (linear(), shape(3072, 192, 192), []),
    "linear.llm_gate": (linear(), shape(3072, 512, 192), []),
    "linear.llm_down": (linear(), shape(3072, 192, 512), []),
    "linear.large": (linear(), shape(1024, 1024, 1024), []),
    "linear.frozen": (F.linear, [r(3072, 192), r(512, 192)], [1]),
    "matmul": (torch.matmul, [r(16, 128, 128), r(16, 128, 128)], []),
    "cross_entropy": (lambda x, w: F.cross_entropy(x @ w.T, ids, reduction="sum"), [r(1024, 192), r(512, 192)], []),
    "cross_entropy.large": (lambda x, w: F.cross_entropy(x @ w.T, ids[:256], reduction="sum"), [r(256, 512), r(32000, 512)], []),
    "attention.vit": (attend(False), [r(32, 64, 4, 32) for _ in range(3)], []),
    "attention.llm": (attend(True), [r(32, 96, 4, 48) for _ in range(3)], []),
    "attention.large": (attend(False), [r(1, 1024, 16, 64) for _ in range(3)], []),
    "attention.large_causal": (attend(True), [r(1, 1024, 16, 64) for _ in range(3)], []),
    "attention.decomposed": (decomposed, [*(r(1, 784, 4, 64) for _ in range(3)), r(1, 4, 784, 28), r(1, 4, 784, 28)], []),
    "attention.bias": (biased, [*(r(8, 196, 4, 64) for _ in range(3)), r(4, 196, 196)], []),
    "relative_bias": (relative, [r(1, 784, 4, 64), r(55, 64)], []),
    "windows": (windows, [r(1, 64, 64, 256)], []),
    "activate.Gelu": (F.gelu, [r(2048, 512)], []),
    "activate.GeluTanh": (gelu_tanh, [r(2048, 512)], []),
    "activate.QuickGelu": (lambda x: x * torch.sigmoid(1.702 * x), [r(2048, 512)], []),
    "activate.Silu": (F.silu, [r(2048, 512)], []),
    "swiglu": (lambda g, u: F.silu(g) * u, [r(3072, 512), r(3072, 512)], []),
    "add": (torch.add, [r(3072, 192), r(3072, 192)], []),
    "add_rows": (torch.add, [r(32, 64, 128), r(64, 128)], []),
    "mul_channels": (torch.mul, [r(32, 576, 96), r(96)], []),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (128,), w, b), [r(2048, 128), r(128), r(128)], []),
    "layer_norm.wide": (lambda x, w, b: F.layer_norm(x, (1024,), w, b), [r(1024, 1024), r(1024), r(1024)], []),
    "rms_norm": (lambda x, w: F.rms_norm(x, (192,), w, 1e-5), [r(3072, 192), r(192)], []),
    "rotary": (rotary, [r(32, 96, 4, 48)], []),
    "embedding": (lambda t: F.embedding(ids, t), [r(512, 192)], []),
    "concat": (lambda a, b: torch.cat([a, b], -1), [r(32, 64, 128), r(32, 64, 128)], []),
    "softmax_cross_entropy": (lambda x: F.cross_entropy(x, ids, reduction="sum"), [r(1024, 512)], []),
    "patch_embed": (lambda x, w, b: F.conv2d(x, w, b, stride=8).flatten(2).transpose(1, 2), [r(32, 3, 64, 64), r(128, 3, 8, 8), r(128)], [0]),
    "conv2d.3x3": (conv(padding=1), [DOWN(r(4, 64, 32, 32)), DOWN(r(64, 64, 3, 3)), r(64)], []),
    "conv2d.2x2_down": (conv(stride=2), [DOWN(r(8, 96, 24, 24)), DOWN(r(192, 96, 2, 2)), r(192)], []),
    "depthwise_conv2d": (conv(padding=3, groups=96), [DOWN(r(8, 96, 24, 24)), r(96, 1, 7, 7), r(96)], []),
    "resize_bilinear": (resize(mode="bilinear"), [DOWN(r(8, 256, 16, 16))], []),
    "resize_bicubic": (resize(mode="bicubic"), [DOWN(r(8, 256, 16, 16))], []),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), [DOWN(r(8, 64, 32, 32))], []),
    "average_pool": (lambda x: F.avg_pool2d(x, 2), [DOWN(r(8, 64, 32, 32))], []),
    "grid_sample": (lambda x, g: F.grid_sample(x, g, align_corners=False), [DOWN(r(8, 128, 16, 16)), r(8, 24, 24, 2)], []),
}


def median_ms(run, rounds=30):
    times = [run() for _ in range(rounds + 3)][3:]
    return statistics.median(times) * 1e3, min(times) * 1e3


def torch_case(name):
    if name == "adamw":
        p = torch.nn.Parameter(r(3_000_000))
        p.grad = r(3_000_000)
        optimiser = torch.optim.AdamW([p], lr=1e-3, weight_decay=0.0, fused=True)
        def run():
            start = CLOCK()
            optimiser.step()
            return CLOCK() - start
        return median_ms(run)
    f, inputs, frozen = CASES[name]
    leaves = [x.detach().requires_grad_(i not in frozen) for i, x in enumerate(inputs)]
    grad = torch.randn_like(f(*leaves))

    def run():
        for leaf in leaves:
            leaf.grad = None
        start = CLOCK()
        f(*leaves).backward(grad)
        return CLOCK() - start
    return median_ms(run)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--filter", default="")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--least", action="store_true", help="least instead of median times: for a machine that is not idle")
    p.add_argument("--cpu", action="store_true", help="one thread, its processor time: for a busy machine")
    a = p.parse_args()
    if a.cpu:
        global CLOCK
        CLOCK, a.threads, a.least = time.thread_time, 1, True
    torch.set_num_threads(a.threads)
    names = [n for n in [*CASES, "adamw"] if a.filter in n]
    command = ["cargo", "bench", "-q", "-p", "eagle-core", "--bench", "ops", "--", a.filter or "", "--threads", str(a.threads)]
    command += ["--cpu"] if a.cpu else []
    ours, theirs = {n: [] for n in names}, {n: [] for n in names}
    for _ in range(a.rounds):
        for line in subprocess.run([c for c in command if c], check=True, capture_output=True, text=True).stdout.splitlines():
            name, *ms = line.split()
            ours[name].append(float(ms[a.least]))
        for name in names:
            theirs[name].append(torch_case(name)[a.least])
    print(f"{'operation':26} {'eagle ms':>9} {'torch ms':>9} {'ratio':>6}")
    ratios = []
    for name in names:
        of = min if a.least else statistics.median
        mine, other = of(ours[name]), of(theirs[name])
        ratios.append(other / mine)
        print(f"{name:26} {mine:9.3f} {other:9.3f} {other / mine:6.2f}{'  slower' if mine > other else ''}")
    print(f"geometric mean {math.exp(statistics.mean(map(math.log, ratios))):.2f}")


if __name__ == "__main__":
    main()
