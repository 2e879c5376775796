"""Damage to bytes, as disks, networks and programs do it."""


def damage_bytes(content, rng):
    """Return the name of a damage and the damaged bytes."""
    name = rng.choice(list(DAMAGES))
    return str(name), bytes(DAMAGES[name](bytearray(content), rng))


def flip_bits(content, rng):
    for _ in range(rng.integers(1, 5)):
        content[_place(content, rng)] ^= 1 << rng.integers(8)
    return content


def change_header(content, rng):
    for _ in range(rng.integers(1, 4)):
        content[rng.integers(min(300, len(content)))] = rng.integers(256)
    return content


def cut(content, rng):
    return content[: rng.integers(len(content))]


def cut_a_little(content, rng):
    return content[: len(content) - rng.integers(1, 40)]


def zero_a_block(content, rng):
    start = _place(content, rng)
    n = min(len(content) - start, int(rng.integers(1, 4096)))
    content[start : start + n] = bytes(n)
    return content


def lose_bytes(content, rng):
    start = _place(content, rng)
    del content[start : start + rng.integers(1, 600)]
    return content


def add_bytes(content, rng):
    start = _place(content, rng)
    content[start:start] = rng.bytes(rng.integers(1, 600))
    return content


def repeat_a_block(content, rng):
    start, to = _place(content, rng), _place(content, rng)
    block = content[start : start + rng.integers(1, 2048)]
    content[to : to + len(block)] = block
    return content


def _place(content, rng):
    return int(rng.integers(len(content)))


DAMAGES = {
    "bits flipped": flip_bits,
    "header changed": change_header,
    "cut short": cut,
    "cut by a few bytes": cut_a_little,
    "a block of zeros": zero_a_block,
    "bytes lost": lose_bytes,
    "bytes added": add_bytes,
    "a block repeated": repeat_a_block,
}
