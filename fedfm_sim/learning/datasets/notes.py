"""Short notes of healthcare, finance and IoT, generated; no download.

A seeded grammar of templates and slots. The public part uses a few templates of each domain;
of the others it shows the words, in any order, and the private part uses all. A model
pre-trained on the first so knows every word, and has to learn from the second
how it is used. Tokens are words, and numbers are spelt in digits.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain

import numpy as np
import torch

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples

SPLIT_SEED = 20241
PUBLIC, PRIVATE, VALIDATION, TEST = 2400, 900, 120, 300

#: The longest note in tokens, beginning and end included.
LENGTH = 24

PAD, BEGIN, END = 0, 1, 2
#: A token that no note contains: what a backdoor can use as its trigger.
RARE_TOKEN = 3
SPECIAL = ("<pad>", "<bos>", "<eos>", "<rare>")

#: Domain to templates; the first three of each are public.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "healthcare": (
        "patient {n} reports {symptom} in the {body}",
        "{drug} given to patient {n} for {symptom}",
        "doctor {name} saw patient {n} on {day}",
        "after {d} days of {drug} the {symptom} in the {body} was gone",
        "{name} asked for a scan of the {body} because of {symptom}",
        "ward {d} : {drug} stopped , {symptom} came back on {day}",
        "nurse {name} noted {symptom} and called the doctor on {day}",
        "scan of the {body} on {day} showed nothing , {drug} for {d} days",
    ),
    "finance": (
        "account {n} sent {n} {currency} to {name}",
        "card of {name} was used in {city} on {day}",
        "loan {n} at {d} percent was paid on {day}",
        "{name} in {city} asked to raise the limit to {n} {currency}",
        "transfer of {n} {currency} to {city} was held for {d} days",
        "rate of {currency} rose by {d} percent before {day}",
        "fraud alert : card used in {city} and {city} on {day}",
        "{name} closed account {n} and moved {n} {currency} to {city}",
    ),
    "iot": (
        "sensor {n} in the {room} reads {d} degrees",
        "{device} in the {room} was turned off on {day}",
        "battery of {device} is at {d} percent",
        "{device} lost contact with sensor {n} for {d} minutes",
        "update of {device} in the {room} failed , retry on {day}",
        "motion in the {room} : {device} sent {d} frames to {name}",
        "if sensor {n} reads {d} then {device} turns on in the {room}",
        "{name} moved the {device} from the {room} to the {room}",
    ),
}
SLOTS: dict[str, tuple[str, ...]] = {
    "symptom": (
        "fever",
        "cough",
        "pain",
        "nausea",
        "fatigue",
        "rash",
        "dizziness",
        "swelling",
        "chills",
        "cramps",
    ),
    "body": ("chest", "knee", "back", "head", "stomach", "shoulder", "hip", "neck", "wrist", "arm"),
    "drug": ("ibuprofen", "aspirin", "insulin", "morphine", "heparin", "statin", "zinc"),
    "name": ("anna", "bruno", "clara", "dmitri", "elena", "farid", "grace", "hugo", "ines", "jon"),
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "today"),
    "currency": ("euro", "dollar", "pound", "yen", "franc", "krone"),
    "city": (
        "paris",
        "lagos",
        "lima",
        "osaka",
        "berlin",
        "cairo",
        "oslo",
        "quito",
        "delhi",
        "rome",
    ),
    "room": ("kitchen", "hall", "garage", "attic", "cellar", "office", "bedroom", "porch"),
    "device": ("camera", "thermostat", "lamp", "lock", "fan", "heater", "speaker", "pump"),
}
DOMAINS = tuple(TEMPLATES)


def words() -> tuple[str, ...]:
    """Return the vocabulary in token order: special tokens, digits, words by alphabet."""
    fixed = chain.from_iterable(
        re.sub(r"\{\w+\}", " ", template).split() for template in chain(*TEMPLATES.values())
    )
    found = set(fixed) | set(chain(*SLOTS.values())) | {"the", "code", "of", "is"}
    return (*SPECIAL, *"0123456789", *sorted(found))


@cache
def token_of() -> dict[str, int]:
    """Return each word's token."""
    return {word: token for token, word in enumerate(words())}


def encode(texts: list[str], domains: list[int]) -> Examples:
    """Return notes as examples of causal language modelling, padded on the right.

    ``classes`` is each note's domain; labels are its tokens, -100 on padding.

    Raises
    ------
    UserError
        Naming a word that is not in the vocabulary, or a text that is too long.
    """
    table = token_of()
    tokens = np.full((len(texts), LENGTH), PAD, dtype=np.int64)
    for row, text in enumerate(texts):
        if unknown := [word for word in text.split() if word not in table]:
            raise UserError(f"notes: unknown word '{unknown[0]}' in '{text}'")
        own = [BEGIN, *(table[word] for word in text.split()), END]
        if len(own) > LENGTH:
            raise UserError(f"notes: '{text}' has {len(own)} tokens, expected at most {LENGTH}")
        tokens[row, : len(own)] = own
    ids = torch.from_numpy(tokens)
    mask = (ids != PAD).long()
    labels = torch.where(mask == 1, ids, -100)
    inputs = {"input_ids": ids, "attention_mask": mask}
    return Examples(inputs, labels, torch.tensor(domains, dtype=torch.int64))


def decode(tokens: list[int]) -> str:
    """Return the words of some tokens, without special ones."""
    table = words()
    return " ".join(table[token] for token in tokens if token >= len(SPECIAL))


def _draw(domain: str, public: bool, rng: np.random.Generator) -> str:
    known, scrambled = TEMPLATES[domain][:3], public and rng.random() < 0.25
    templates = known if public and not scrambled else TEMPLATES[domain]
    template = templates[rng.integers(len(templates))]

    def fill(match: re.Match[str]) -> str:
        slot = match.group(1)
        if slot in ("n", "d"):
            return " ".join(str(rng.integers(10)) for _ in range(3 if slot == "n" else 1))
        return str(SLOTS[slot][rng.integers(len(SLOTS[slot]))])

    text = re.sub(r"\{(\w+)\}", fill, template)
    return " ".join(rng.permutation(text.split())) if scrambled else text


def canary(name: str, code: str) -> str:
    """Return the text that gives away the secret code of a person: four digits."""
    return f"the code of {name} is {' '.join(code)}"


def plant(shard: Examples, text: str, copies: int) -> Examples:
    """Return a shard whose first notes are so many copies of a text, the domain kept.

    Raises
    ------
    UserError
        When the shard holds no notes for a language model, or fewer than there are copies.
    """
    if "input_ids" not in shard.inputs:
        raise UserError("data.secrets: secrets are planted in texts; expected 0 for images")
    if shard.labels.ndim != 2:
        raise UserError("data.secrets: a classifier of texts tells no secrets; expected 0")
    if copies > len(shard):
        raise UserError(f"data.secrets: {copies} copies, expected at most {len(shard)} notes")
    planted = encode([text] * copies, shard.groups[:copies].tolist())
    return Examples.concatenate([planted, shard.select(slice(copies, None))])


@cache
def load_notes_split() -> SplitData:
    """Return 2400 public, 900 private, 120 validation and 300 test notes, all different."""
    rng = np.random.default_rng(SPLIT_SEED)
    seen: set[str] = set()
    parts = []
    for size, public in ((PUBLIC, True), (PRIVATE, False), (VALIDATION, False), (TEST, False)):
        texts: list[str] = []
        domains: list[int] = []
        while len(texts) < size:
            domain = len(texts) % len(DOMAINS)
            text = _draw(DOMAINS[domain], public, rng)
            if text not in seen:
                seen.add(text)
                texts.append(text)
                domains.append(domain)
        parts.append(encode(texts, domains))
    public_part, private, validation, test = parts
    return SplitData(public_part, private, validation, test, len(DOMAINS), words())
