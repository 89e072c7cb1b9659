"""What the comparisons have in common: where the program is, how it is called, what counts as the same."""

import argparse
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The largest difference over the largest result. Sums of thousands of products in another order differ by some 1e-6.
TOLERANCE = 1e-4
IMAGES = 2


class Failed(Exception):
    """A network that does not pass, and why."""


def parser(doc):
    """The options of all comparisons; `doc` is the script's text."""
    made = argparse.ArgumentParser(description=doc.split("\n")[0])
    made.add_argument("--resnetc", default=ROOT / "target/release/resnetc", type=lambda path: Path(path).resolve())
    made.add_argument("--only", nargs="*", help="names of networks, or paths of specs [default: all]")
    return made


def resnetc(args, *words):
    """Runs the program in the repository's folder: what it says on both streams."""
    done = subprocess.run([args.resnetc, *map(str, words)], capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise Failed(f"resnetc {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout + done.stderr


def output(args, *words):
    """The same, what it says on standard output alone."""
    done = subprocess.run([args.resnetc, *map(str, words)], stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    return done.stdout
