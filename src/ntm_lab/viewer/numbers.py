"""Numbers in a page: planes of bytes as base64, each tensor by itself, or all of a page as one compressed block."""

import base64
import zlib
from typing import Any

import torch
from torch import Tensor

Node = dict[str, Any]

BITS = 11  # of the significand of a rounded number, as float16 has


def tensor(value: Tensor, scale: int | None = None) -> Node:
    """A tensor as ``web/machine.js`` reads it: float32, or with a scale bytes, to be divided by it.

    The lowest bytes of all numbers come first, then the next ones: similar bytes side by side compress.
    """
    numbers = value.detach().cpu().float()
    plain = numbers if scale is None else (numbers * scale).round().to(torch.uint8)
    planes = plain.reshape(-1, 1).contiguous().numpy()
    planes = planes.astype(planes.dtype.newbyteorder("<")).view("u1").T
    coded = base64.b64encode(planes.tobytes()).decode()
    return {"shape": list(value.shape), **({} if scale is None else {"scale": scale}), "base64": coded}


def rounded(value: Tensor) -> Tensor:
    """The same numbers to `BITS` binary places, a relative error of 2⁻¹¹ at most: `packed` is then half as long."""
    fraction, exponent = torch.frexp(value)
    return torch.ldexp((fraction * 2**BITS).round() / 2**BITS, exponent)


def packed(described: Any) -> tuple[Any, str]:
    """A description that has, instead of each ``base64``, its place ``at`` in a block of bytes; and the block in zlib's
    form, as base64."""
    parts: list[bytes] = []

    def move(node: Any) -> Any:
        if isinstance(node, list):
            return [move(each) for each in node]
        if not isinstance(node, dict):
            return node
        kept = {key: move(value) for key, value in node.items() if key != "base64"}
        if "base64" in node:
            kept["at"] = sum(map(len, parts))
            parts.append(base64.b64decode(node["base64"]))
        return kept

    moved = move(described)
    return moved, base64.b64encode(zlib.compress(b"".join(parts), 9)).decode()
