"""Makes any number of English sentences for spoken corpora, from patterns and random words.

They mean little, but they have words, endings, marks and rhythm of English, and all of its phones
next to most others.
"""

from __future__ import annotations

import itertools
import random

_WORDS = {
    "adj": "old young quiet clever brave gentle huge narrow golden frozen broken thin yellow azure "
    "rough smooth sour cheap wealthy joyful ancient cautious purple crooked shallow loyal "
    "tired proud foolish early usual beige weary fierce pure rural square vague",
    "animal": "dog fox owl zebra otter horse beaver mole rabbit leopard hound trout thrush giraffe "
    "pigeon cow seal badger turkey cheetah bear donkey oyster eagle crow",
    "person": "judge baker teacher sailor doctor painter captain farmer child father mother sister "
    "brother uncle neighbour stranger shepherd soldier engineer lawyer musician nurse boy girl "
    "king queen author waiter butcher jeweller",
    "thing": "bridge ladder lemon umbrella letter watch box window garden shoe lantern violin "
    "chain treasure loaf jar kettle basket wagon mirror table chair boat key feather bottle carpet "
    "engine drawer clock spoon hammer thimble vase necklace pudding engraving",
    "place": "river market harbour church village valley castle kitchen lighthouse library station "
    "forest island meadow tower school field shore quarry orchard theatre square garage jungle",
    "past": "found carried painted measured followed watched dropped bought caught brought opened "
    "counted moved pushed chose sold hid broke drew washed mended borrowed noticed judged "
    "threw shook polished admired destroyed described enjoyed touched",
    "went": "walked ran slept waited sang laughed vanished travelled fell stood shouted rested "
    "arrived smiled worked listened paused swam hurried danced breathed yawned",
    "how": "slowly quickly quietly gladly badly early twice again together alone gracefully "
    "thoughtfully usually rarely soon later never easily carefully abroad",
    "by": "under near beyond behind above across around beside through against between toward "
    "without inside",
    "when": "at noon|in the evening|last Thursday|every morning|before the war|after the rain|in "
    "July|during the voyage|on Sunday|at dawn|a year ago|that night|this autumn",
    "because": "because|although|while|before|after|when|until|unless|since|so",
    "number": "two three four five six seven eight nine ten eleven twelve thirteen fifteen twenty "
    "thirty forty sixty",
    "name": "George Martha Hugh Vivian Thomas Joyce Charles Ruth Philip Yvonne Peter Zoe Geoffrey "
    "Shirley Edward Laura Roy Beatrice",
    "will": "will would could should might must can",
    "do": "find carry paint measure follow watch open count push choose sell hide break wash mend "
    "notice throw polish admire destroy describe enjoy touch judge vary use",
}
_PATTERNS = (
    "the {adj} {person} {past} a {thing} {by} the {place}.",
    "{name} {past} the {adj} {thing} and {went} {how}.",
    "{when}, the {animal} {went} {by} the {place}.",
    "{number} {adj} {things} stood {by} the {place}.",
    "why {will} the {person} {do} that {thing}?",
    "the {person}'s {thing} was {adj}, but the {animal} {went} {how}.",
    "she {past} it {how}, {because} the {adj} {animal} {went}.",
    "{name} {will} {do} your {thing} {when}.",
    "we {past} {number} {animals} in the {place}; nobody {went}.",
    "do you think they {will} {do} the {place} {how}?",
    "there is a {thing} {by} this {adj} {place}.",
    "his {person} and her {person} {past} my {thing} {when}.",
    "{name} {went} {how} {because} {name} {past} the {thing}.",
    "no, said the {person}, I {will} not {do} our {thing}.",
    "these {animals} {will} {do} those {adj} {things}.",
    "it {went} {by} the {thing}, and then the {person} {past} us.",
    "who {past} the {thing} of the {adj} {person}?",
    "a {thing}, a {thing} and a {adj} {animal} were all he {past}.",
    "if {name} {went}, the {person} {will} {do} them.",
    "how {adj} the {place} looked {when}!",
)
_LISTS = {
    kind: text.split("|") if "|" in text else text.split(" ") for kind, text in _WORDS.items()
}
_LISTS |= {  # plurals of nouns
    f"{kind}s": [word + ("es" if word.endswith(("ch", "x", "s", "sh")) else "s") for word in words]
    for kind, words in _LISTS.items()
}


class _Draw(dict[str, str]):
    """Draws a word of the right kind for each place of a pattern, by `str.format_map`."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def __getitem__(self, kind: str) -> str:
        return self._rng.choice(_LISTS[kind])


def sentences(count: int, seed: int = 0) -> list[str]:
    """Make different sentences; fewer sentences of a seed are the first of more.

    Args:
        count: the number of sentences.
        seed: the same seed gives the same sentences.
    """
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        text = rng.choice(_PATTERNS).format_map(_Draw(rng))
        words = text.split(" ")
        for i, (word, following) in enumerate(itertools.pairwise(words)):
            if word == "a" and following[0] in "aeiou" and not following.startswith(("us", "hu")):
                words[i] = "an"
        text = " ".join(words)
        found[text[0].upper() + text[1:]] = None
    return list(found)
