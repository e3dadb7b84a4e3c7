"""Check a draw: python verify_line.py <address or file of the proof> [commitment seen in the lobby] [my number]."""

import hashlib
import json
import sys
import urllib.request
from pathlib import Path


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def places(proof: dict) -> dict[int, int]:
    """Return the place of each number, by the published rule."""
    mixed = " ".join(filter(None, [proof["seed"], proof["digest"], proof["public_value"]]))
    ranked = sorted((number for number, _ in proof["entries"]), key=lambda each: sha256(f"{mixed} {each}"))
    return {number: place for place, number in enumerate(ranked, start=1)}


def check(proof: dict, commitment: str) -> None:
    """Exit with an error message if the proof is wrong."""
    if sha256(proof["seed"]) != commitment:
        sys.exit("WRONG: the seed does not match the commitment.")
    if sha256("\n".join(f"{number} {at}" for number, at in proof["entries"])) != proof["digest"]:
        sys.exit("WRONG: the digest does not match the list.")
    if [number for number, _ in proof["entries"]] != list(range(1, proof["drawn"] + 1)):
        sys.exit(f"WRONG: the list does not have each number from 1 to {proof['drawn']} once, in order.")


if __name__ == "__main__":
    where, *more = sys.argv[1:]
    is_file = not where.startswith(("http://", "https://"))
    proof = json.loads(Path(where).read_bytes() if is_file else urllib.request.urlopen(where).read())  # noqa: S310
    check(proof, more[0] if more else proof["commitment"])
    if proof["public_name"]:
        print(f"Look it up: {proof['public_name']} is {proof['public_value']}", file=sys.stderr)  # noqa: T201
    drawn = places(proof)
    print(drawn[int(more[1])] if len(more) > 1 else json.dumps(drawn))  # noqa: T201
