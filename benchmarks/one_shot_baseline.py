"""What is reached in one-shot classification without a memory network: `python benchmarks/one_shot_baseline.py`.

``nearest`` learns nothing: an image of the testing part gets the label of the example that is nearest in Euclidean
distance, by the number of examples that every class of the episode has. ``dense`` and ``convolutions`` are matching
networks (Vinyals et al. 2016, arXiv 1606.04080, without full-context embeddings), trained on the episodes of
``task=one_shot``: a step attends over all images shown before, whose labels are given to it, by the cosine of features
from one rectified layer or two convolutions. They learn nothing but these features, and so mark what a memory network
with such features could reach. Prints accuracy in percent, with 95 % intervals over episodes. Without a root the images
are scikit-learn's digits.
"""

import argparse
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from ntm_lab.evaluation.intervals import of_ratio
from ntm_lab.nn.image_encoders import Convolutions, Dense
from ntm_lab.tasks import OneShot
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.tasks.images import Digits, Images, Omniglot
from ntm_lab.types import Batch

BATCH = 100  # episodes at a time in testing
SHOTS = 10
KEY = 64  # width of what is compared
ENCODERS = {"dense": Dense, "convolutions": Convolutions}


def nearest(images: Images, ways: int, examples: int, episodes: int) -> tuple[float, float]:
    """The mean over episodes of the share of right answers, one to an image of each class, and half its interval."""
    generator = seeded(0, f"{ways} ways, {examples} examples")
    shares = []
    for _ in range(-(-episodes // BATCH)):
        drawn = images.draw(BATCH, ways, examples + 1, generator)  # (B, ways, examples + 1, P)
        asked, known = drawn[:, :, 0], drawn[:, :, 1:].flatten(1, 2)  # (B, ways, P), (B, ways · examples, P)
        found = torch.cdist(asked, known).argmin(-1) // examples  # (B, ways)
        shares.append((found == torch.arange(ways)).double().mean(1))
    share = torch.cat(shares)
    return float(share.mean()), float(1.96 * share.std() / len(share) ** 0.5)


class MatchingNetwork(nn.Module):
    """Attention over the labelled images that a step has seen: Σ_s softmax_s(β cos(f(x_t), f(x_s))) label_s, s < t.

    f is the encoder and a linear layer, as rectified features alone are never far apart in angle.
    """

    def __init__(self, encoder: Dense | Convolutions, labels: int) -> None:
        super().__init__()
        self.encoder, self.labels = encoder, labels
        self.key = nn.Linear(encoder.size, KEY, bias=False)
        self.log_strength = nn.Parameter(torch.tensor(10.0).log())

    def forward(self, batch: Batch) -> Tensor:
        """Probabilities (B, T, k) of the labels; 0 for one not yet given."""
        images = batch.inputs[..., : self.encoder.pixels]
        keys = normalize(self.key(self.encoder.features(images)), dim=-1)  # (B, T, KEY)
        alike = keys @ keys.mT * self.log_strength.exp()  # (B, T, T)
        later = torch.ones_like(alike[0], dtype=torch.bool).triu()
        attention = alike.masked_fill(later, -torch.inf)[:, 1:].softmax(-1)  # the first step has nothing to attend to
        attention = torch.cat((torch.zeros_like(alike[:, :1]), attention), 1)
        return attention @ one_hot(batch.targets[..., 0], self.labels).to(keys)


def train(network: MatchingNetwork, task: OneShot, episodes: int, seed: int, rate: float) -> float:
    """Adam with a cosine on −log p of the right label at all showings but the first, batches of 16; the seconds taken.

    A class at its first showing has nothing to be matched with.
    """
    generator, steps = seeded(seed, "sequences"), -(-episodes // 16)
    optimizer = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, 0.02 * rate)
    difficulty = {axis: most for axis, (_, most) in task.ranges.items()}
    begun = time.perf_counter()
    for _ in range(steps):
        batch = task.sample(16, difficulty, generator)
        right = network(batch).gather(-1, batch.targets)[..., 0]
        loss = -right[~task.groups(batch)["showing_01"]].clamp_min(1e-6).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - begun


@torch.no_grad()
def by_showing(network: MatchingNetwork, task: OneShot, episodes: int) -> dict[str, tuple[float, float]]:
    """The 95 % interval of the share of right answers, over episodes, by showing."""
    generator = seeded(0, "testing")
    counts: dict[str, list[Tensor]] = {}  # (B, 2): right, asked
    difficulty = {axis: most for axis, (_, most) in task.ranges.items()}
    for _ in range(-(-episodes // BATCH)):
        batch = task.sample(BATCH, difficulty, generator)
        right = network(batch).argmax(-1) == batch.targets[..., 0]
        for name, steps in task.groups(batch).items():
            counts.setdefault(name, []).append(torch.stack(((right & steps).sum(1), steps.sum(1)), 1))
    return {name: of_ratio(*torch.cat(parts).unbind(1)) for name, parts in counts.items()}


def show(label: str, cells: list[str]) -> None:
    print(label.ljust(28), *(cell.rjust(14) for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="a folder of Omniglot, as task.images.root")
    parser.add_argument("--split", default="santoro", help="as task.images.split")
    parser.add_argument("--rotations", default="random", help="as task.images.rotations")
    parser.add_argument("--disguise", default="permute", help="of the digits, as task.images.disguise")
    parser.add_argument("--model", nargs="+", default=["nearest"], choices=["nearest", *ENCODERS], metavar="NAME")
    parser.add_argument("--ways", type=int, nargs="+", default=[3, 5], metavar="N")
    parser.add_argument("--examples", type=int, nargs="+", default=[1, 4, 9], metavar="N", help="of each class")
    parser.add_argument("--episodes", type=int, default=2000, help="of testing")
    parser.add_argument("--training", type=int, default=50_000, help="episodes of training")
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    images: Images = Digits(given.disguise)
    if given.root is not None:
        images = Omniglot(given.root, given.split, rotations=given.rotations)
    show("right answers, %", [f"{count} examples" for count in given.examples])
    for model in given.model:
        for ways in given.ways:
            if model == "nearest":
                found = [nearest(images.split("testing"), ways, count, given.episodes) for count in given.examples]
                show(f"{model}, {ways} ways", [f"{100 * mean:.1f} ± {100 * half:.1f}" for mean, half in found])
                continue
            torch.manual_seed(given.seed)
            task = OneShot([ways, ways], [SHOTS, SHOTS], images)
            network = MatchingNetwork(ENCODERS[model](images.pixels, round(images.pixels**0.5)), ways)
            seconds = train(network, task.split("training"), given.training, given.seed, given.rate)
            intervals = by_showing(network, task.split("testing"), given.episodes)
            shown = [intervals[f"showing_{count + 1:02d}"] for count in given.examples]
            cells = [f"{100 * low:.1f} to {100 * high:.1f}" for low, high in shown]
            show(f"{model}, {ways} ways ({seconds:.0f} s)", cells)


if __name__ == "__main__":
    main()
