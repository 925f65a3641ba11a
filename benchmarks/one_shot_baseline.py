"""How far raw pixels go in one-shot classification: `python benchmarks/one_shot_baseline.py --root FOLDER`.

A nearest neighbour, without any learning: an image of the testing part gets the label of the example that is nearest in
Euclidean distance. Prints accuracy in percent, with 95 % intervals over episodes, by the number of examples that every
class of the episode has. Without a root the images are scikit-learn's digits.
"""

import argparse

import torch

from ntm_lab.tasks.difficulties import seeded
from ntm_lab.tasks.images import Digits, Images, Omniglot

BATCH = 100  # episodes at a time


def accuracy(images: Images, ways: int, examples: int, episodes: int) -> tuple[float, float]:
    """The mean over episodes of the share of right answers, one to an image of each class, and half its interval."""
    generator = seeded(0, f"{ways} ways, {examples} examples")
    shares = []
    for _ in range(-(-episodes // BATCH)):
        drawn = images.draw(BATCH, ways, examples + 1, generator)  # (B, ways, examples + 1, P)
        asked, known = drawn[:, :, 0], drawn[:, :, 1:].flatten(1, 2)  # (B, ways, P), (B, ways · examples, P)
        nearest = torch.cdist(asked, known).argmin(-1) // examples  # (B, ways)
        shares.append((nearest == torch.arange(ways)).double().mean(1))
    share = torch.cat(shares)
    return float(share.mean()), float(1.96 * share.std() / len(share) ** 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="a folder of Omniglot, as task.images.root")
    parser.add_argument("--split", default="santoro", help="as task.images.split")
    parser.add_argument("--rotations", default="random", help="as task.images.rotations")
    parser.add_argument("--disguise", default="permute", help="of the digits, as task.images.disguise")
    parser.add_argument("--ways", type=int, nargs="+", default=[3, 5], metavar="N")
    parser.add_argument("--examples", type=int, nargs="+", default=[1, 4, 9], metavar="N", help="of each class")
    parser.add_argument("--episodes", type=int, default=2000)
    given = parser.parse_args()
    source = (
        Digits(given.disguise) if given.root is None else Omniglot(given.root, given.split, rotations=given.rotations)
    )
    images = source.split("testing")
    print("right answers, %".ljust(18), *(f"{count} examples".rjust(14) for count in given.examples))
    for ways in given.ways:
        cells = [accuracy(images, ways, count, given.episodes) for count in given.examples]
        print(f"{ways} ways".ljust(18), *(f"{100 * mean:.1f} ± {100 * half:.1f}".rjust(14) for mean, half in cells))


if __name__ == "__main__":
    main()
