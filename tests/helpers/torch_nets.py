"""The same residual networks as an ordinary PyTorch program: the oracle of the tests.

Written from the papers' descriptions and PyTorch's idiom (channels first, nn.Conv1d,
nn.BatchNorm1d), with its own names; `load_weights` carries Flax weights over.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ALPHA = 0.2
GAMMA = math.sqrt(2 / (1 - 1 / math.pi))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inside, planes, stride, kernel, bias):
        super().__init__()
        pad = kernel // 2
        self.conv1 = nn.Conv1d(inside, planes, kernel, stride, pad, bias=bias)
        self.bn1 = nn.BatchNorm1d(planes)
        self.conv2 = nn.Conv1d(planes, planes, kernel, 1, pad, bias=bias)
        self.bn2 = nn.BatchNorm1d(planes)
        self.downsample = None
        if stride != 1 or inside != planes:
            self.downsample = nn.Sequential(
                nn.Conv1d(inside, planes, 1, stride, bias=bias), nn.BatchNorm1d(planes)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + identity)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inside, planes, stride, kernel, bias):
        super().__init__()
        outside = planes * self.expansion
        self.conv1 = nn.Conv1d(inside, planes, 1, bias=bias)
        self.bn1 = nn.BatchNorm1d(planes)
        self.conv2 = nn.Conv1d(planes, planes, kernel, stride, kernel // 2, bias=bias)
        self.bn2 = nn.BatchNorm1d(planes)
        self.conv3 = nn.Conv1d(planes, outside, 1, bias=bias)
        self.bn3 = nn.BatchNorm1d(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv1d(inside, outside, 1, stride, bias=bias), nn.BatchNorm1d(outside)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + identity)


class ResNet(nn.Module):
    """Windows [B, 3, T] to embeddings [B, D]: batch norm, mean over the last stage."""

    def __init__(self, block, stages, width, stem_kernel, kernel, bias):
        super().__init__()
        self.conv1 = nn.Conv1d(3, width, stem_kernel, 2, stem_kernel // 2, bias=bias)
        self.bn1 = nn.BatchNorm1d(width)
        self.maxpool = nn.MaxPool1d(3, 2, 1)
        inside, layers = width, []
        for i, blocks in enumerate(stages):
            planes = width * 2**i
            for j in range(blocks):
                layers.append(block(inside, planes, 2 if i > 0 and j == 0 else 1, kernel, bias))
                inside = planes * block.expansion
        self.layers = nn.ModuleList(layers)
        self.stages = stages

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for layer in self.layers:
            x = layer(x)
        return x.mean(dim=-1)


class WSConv1d(nn.Conv1d):
    """Scaled weight standardisation (Brock et al. 2021), bias always."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1))

    def forward(self, x):
        variance, mean = torch.var_mean(self.weight, dim=(1, 2), keepdim=True, correction=0)
        fan_in = self.weight[0].numel()
        weight = (self.weight - mean) / torch.sqrt(variance.mul(fan_in).clamp(min=1e-4)) * self.gain
        return F.conv1d(x, weight, self.bias, self.stride, self.padding)


class NFBlock(nn.Module):
    """y = shortcut + alpha * f(gamma relu(x) / beta); the shortcut branches off inside f."""

    def __init__(self, inside, planes, stride, kernel, bottleneck, beta):
        super().__init__()
        self.beta = beta
        outside = planes * 4 if bottleneck else planes
        if bottleneck:
            shapes = [(inside, planes, 1, 1), (planes, planes, kernel, stride)]
            shapes += [(planes, outside, 1, 1)]
        else:
            shapes = [(inside, planes, kernel, stride), (planes, planes, kernel, 1)]
        self.convs = nn.ModuleList(WSConv1d(i, o, k, s, k // 2) for i, o, k, s in shapes)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = WSConv1d(inside, outside, 1, stride)

    def forward(self, x):
        out = F.relu(x) * GAMMA / self.beta
        identity = x if self.downsample is None else self.downsample(out)
        out = self.convs[0](out)
        for conv in self.convs[1:]:
            out = conv(F.relu(out) * GAMMA)
        return identity + ALPHA * out


class NFResNet(nn.Module):
    """The normaliser-free net: windows [B, 3, T] to embeddings [B, D]."""

    def __init__(self, bottleneck, stages, width, stem_kernel, kernel):
        super().__init__()
        self.conv1 = WSConv1d(3, width, stem_kernel, 2, stem_kernel // 2)
        self.maxpool = nn.MaxPool1d(3, 2, 1)
        inside, layers, variance = width, [], 1.0
        for i, blocks in enumerate(stages):
            planes = width * 2**i
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                beta = math.sqrt(variance)
                layers.append(NFBlock(inside, planes, stride, kernel, bottleneck, beta))
                if layers[-1].downsample is not None:
                    variance = 1.0
                variance += ALPHA**2
                inside = planes * 4 if bottleneck else planes
        self.layers = nn.ModuleList(layers)
        self.stages = stages

    def forward(self, x):
        x = self.maxpool(self.conv1(x))
        for layer in self.layers:
            x = layer(x)
        return (F.relu(x) * GAMMA).mean(dim=-1)


def build_net(net: dict) -> nn.Module:
    """The PyTorch net of a net configuration with norm "batch" or "none" and pool "mean"."""
    shape = [net[key] for key in ("stages", "width", "stem_kernel", "kernel")]
    if net["norm"] == "none":
        return NFResNet(net["block"] == "bottleneck", *shape)
    return ResNet(Bottleneck if net["block"] == "bottleneck" else BasicBlock, *shape, net["bias"])


def load_weights(model: nn.Module, variables) -> nn.Module:
    """Copy the encoder's Flax {params, batch_stats} into `model`; every entry, each once."""
    params, stats = variables["params"], variables.get("batch_stats", {})
    state = {}

    def conv(torch_name, name):
        leaf = params[name]
        state[f"{torch_name}.weight"] = np.transpose(leaf["kernel"], (2, 1, 0))
        if "bias" in leaf:
            state[f"{torch_name}.bias"] = leaf["bias"]
        if "gain" in leaf:
            state[f"{torch_name}.gain"] = np.reshape(leaf["gain"], (-1, 1, 1))

    def batch_norm(torch_name, name):
        if name not in params:
            return
        state[f"{torch_name}.weight"] = params[name]["scale"]
        state[f"{torch_name}.bias"] = params[name]["bias"]
        state[f"{torch_name}.running_mean"] = stats[name]["mean"]
        state[f"{torch_name}.running_var"] = stats[name]["var"]
        state[f"{torch_name}.num_batches_tracked"] = 0

    conv("conv1", "stem")
    batch_norm("bn1", "stem_norm")
    names = [
        f"stage{i}_block{j}"
        for i, blocks in enumerate(model.stages, 1)
        for j in range(1, blocks + 1)
    ]
    free = isinstance(model, NFResNet)
    for layer, name in enumerate(names):
        convs = [key for key in params if key.startswith(f"{name}_conv")]
        for i in range(1, len(convs) + 1):
            prefix = f"layers.{layer}"
            conv(f"{prefix}.convs.{i - 1}" if free else f"{prefix}.conv{i}", f"{name}_conv{i}")
            batch_norm(f"{prefix}.bn{i}", f"{name}_norm{i}")
        if f"{name}_shortcut" in params:
            conv(f"{prefix}.downsample" if free else f"{prefix}.downsample.0", f"{name}_shortcut")
            batch_norm(f"{prefix}.downsample.1", f"{name}_shortcut_norm")
    model.load_state_dict({key: torch.tensor(np.asarray(value)) for key, value in state.items()})
    return model


def count_parameters(model: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def to_two_dimensions(module: nn.Module) -> nn.Module:
    """A batch-norm net for windows [B, 3, 1, T]: PyTorch has channels last in two dimensions only.

    Its embeddings are [B, D, 1].
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Conv1d):
            (k,), (s,), (p,) = child.kernel_size, child.stride, child.padding
            layer = nn.Conv2d(
                child.in_channels,
                child.out_channels,
                (1, k),
                (1, s),
                (0, p),
                bias=child.bias is not None,
            )
            layer.load_state_dict(child.state_dict() | {"weight": child.weight[:, :, None]})
        elif isinstance(child, nn.BatchNorm1d):
            layer = nn.BatchNorm2d(child.num_features)
            layer.load_state_dict(child.state_dict())
        elif isinstance(child, nn.MaxPool1d):
            layer = nn.MaxPool2d((1, 3), (1, 2), (0, 1))
        else:
            layer = to_two_dimensions(child)
        setattr(module, name, layer)
    return module
