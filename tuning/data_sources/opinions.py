"""Sentences of praise and blame from a small grammar (embedded data).

Half of the judgements are negated, and half of the sentences concede the opposite in
a second clause. So the same words occur in good and in bad reviews: counting words
hardly helps, their order decides.
"""

from __future__ import annotations

import numpy as np

SENTENCES = 3000
SEED = 3

MISTAKEN_SHARE = 0.04
"""Share of wrong labels, because people's labels contain errors, too. So no model can
reach 100 %, and no loss ends near zero."""

_SUBJECTS = """
the acting, the plot, the script, the ending, the music, this film, the whole story,
the camera work, the dialogue, the lead actor, the second half, the editing, the pace,
her performance, his voice, the humour
"""
_VERBS = "is, was, felt, seemed, remains, turned out"
_DEGREES = ", , very, really, truly, quite, simply"
_NEGATORS = "not, never, hardly, anything but, far from, by no means, not at all"
_BLAME = """
awful, boring, clumsy, confusing, dreadful, dull, empty, forgettable, hollow, lazy,
messy, painful, shallow, silly, stale, tedious, terrible, tiresome, ugly, weak
"""
_PRAISE = """
amusing, beautiful, brilliant, charming, clever, delightful, elegant, enjoyable,
excellent, fresh, funny, gripping, inspired, lovely, moving, rich, sharp, splendid,
superb, warm
"""


def make_opinions() -> tuple[list[str], list[int]]:
    """Different sentences, and a label each: 1 for praise, 0 for blame."""
    generator = np.random.default_rng(SEED)
    labels: dict[str, int] = {}
    while len(labels) < SENTENCES:
        label = int(generator.integers(2))
        labels.setdefault(_sentence(label, generator), label)
    mistaken = generator.random(SENTENCES) < MISTAKEN_SHARE
    given = np.array(list(labels.values())) != mistaken
    return list(labels), given.astype(int).tolist()


def _sentence(label: int, generator: np.random.Generator) -> str:
    judgement = _clause(label, generator)
    if generator.random() < 0.5:
        return judgement
    other = _clause(1 - label, generator)
    form = generator.choice(
        [
            "{other} , but {judgement}",
            "{judgement} , although {other}",
            "although {other} , {judgement}",
            "{other} and yet {judgement}",
            "{judgement} , even if {other}",
        ]
    )
    return form.format(judgement=judgement, other=other)


def _clause(label: int, generator: np.random.Generator) -> str:
    """A subject that is good (1) or bad (0), said directly or by a negation."""
    subject = _one_of(_SUBJECTS, generator)
    degree = _one_of(_DEGREES, generator)
    if generator.random() < 0.5:
        words = (
            subject,
            _one_of(_VERBS, generator),
            degree,
            _adjective(label, generator),
        )
    elif generator.random() < 0.3:
        opposite = _adjective(1 - label, generator)
        words = ("nobody would call", subject, degree, opposite)
    else:
        opposite = _adjective(1 - label, generator)
        negator = _one_of(_NEGATORS, generator)
        words = (subject, _one_of(_VERBS, generator), negator, degree, opposite)
    return " ".join(word for word in words if word)


def _adjective(label: int, generator: np.random.Generator) -> str:
    return _one_of(_PRAISE if label else _BLAME, generator)


def _one_of(phrases: str, generator: np.random.Generator) -> str:
    choices = phrases.strip("\n").replace("\n", " ").split(",")
    return choices[generator.integers(len(choices))].strip()
