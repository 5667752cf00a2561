"""A miniature MLLM in PyTorch: the baseline of `bench_step.py` and of the loss-curve fixture.

Two vision transformers (pre-norm, GELU-tanh, learned positions, no class token) see one picture;
their maps are joined channel by channel, projected by two linear layers with GELU, and stand in front
of the text in a Llama (RMS norm, SwiGLU, rotary positions); next-token cross-entropy on the text.
"""
import dataclasses

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclasses.dataclass
class Sizes:
    batch: int = 32
    encoders: int = 2
    image: int = 64
    patch: int = 8
    vit_width: int = 128
    vit_layers: int = 4
    vit_heads: int = 4
    width: int = 192
    layers: int = 4
    heads: int = 4
    hidden: int = 512
    vocabulary: int = 512
    text: int = 32

    @property
    def patches(self):
        return (self.image // self.patch) ** 2


class VitBlock(nn.Module):
    def __init__(self, s):
        super().__init__()
        d = s.vit_width
        self.heads = s.vit_heads
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        q, k, v = self.qkv(self.n1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.n2(x)), approximate="tanh"))


class Vit(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.patch = nn.Conv2d(3, s.vit_width, s.patch, s.patch)
        self.pos = nn.Parameter(torch.randn(1, s.patches, s.vit_width) * 0.02)
        self.blocks = nn.Sequential(*(VitBlock(s) for _ in range(s.vit_layers)))

    def forward(self, image):
        return self.blocks(self.patch(image).flatten(2).transpose(1, 2) + self.pos)


class LlamaBlock(nn.Module):
    def __init__(self, s):
        super().__init__()
        d = s.width
        self.heads = s.heads
        self.n1, self.n2 = nn.RMSNorm(d, 1e-5), nn.RMSNorm(d, 1e-5)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(d, s.hidden, bias=False), nn.Linear(d, s.hidden, bias=False)
        self.down = nn.Linear(s.hidden, d, bias=False)

    def forward(self, x, cos, sin):
        y = self.n1(x)
        q, k, v = (f(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        turn = lambda t: t * cos + torch.cat((-t[..., t.shape[-1] // 2:], t[..., : t.shape[-1] // 2]), -1) * sin
        y = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).flatten(2))
        y = self.n2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class MiniMllm(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.encoders = nn.ModuleList(Vit(s) for _ in range(s.encoders))
        self.projector = nn.Sequential(nn.Linear(s.encoders * s.vit_width, s.width), nn.GELU(), nn.Linear(s.width, s.width))
        self.embed = nn.Embedding(s.vocabulary, s.width)
        self.blocks = nn.ModuleList(LlamaBlock(s) for _ in range(s.layers))
        self.norm, self.head = nn.RMSNorm(s.width, 1e-5), nn.Linear(s.width, s.vocabulary, bias=False)
        width = s.width // s.heads
        angle = torch.outer(torch.arange(s.patches + s.text).float(), 1e4 ** (-torch.arange(0, width, 2).float() / width))
        self.register_buffer("cos", torch.cat((angle, angle), -1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat((angle, angle), -1).sin(), persistent=False)

    def forward(self, image, ids, labels):
        visual = self.projector(torch.cat([encoder(image) for encoder in self.encoders], -1))
        x = torch.cat([visual, self.embed(ids)], 1)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x[:, visual.shape[1]:]))
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def batch(s):
    draw = lambda: torch.randint(0, s.vocabulary, (s.batch, s.text))
    return torch.randn(s.batch, 3, s.image, s.image), draw(), draw()


def training(model, train):
    """Hangs the parameters that `train` names (all, projector, encoders) on an AdamW."""
    wanted = {"all": "", "projector": "projector.", "encoders": ("projector.", "encoders.")}[train]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(wanted))
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)


def step(model, optimiser, data):
    loss = model(*data)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def bundle(s, model, data):
    """What eagle-core's side reads."""
    tensors = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    tensors |= {name: x.float().contiguous() for name, x in zip(("image", "ids", "labels"), data)}
    return tensors | {"heads.vit": torch.tensor([float(s.vit_heads)]), "heads.llama": torch.tensor([float(s.heads)])}
