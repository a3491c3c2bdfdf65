"""Ways in which a file comes to harm, for hypothesis to combine."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import strategies as st

Damage = Callable[[bytes], bytes]
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# What means something to one parser or another.
MARKS = (b"{", b"}", b"[", b"]", b",", b'"', b"-", b"e9", b"\n", b"\x00", b"\xff", b"0" * 30)
ODD = (b"NaN", b"1e999", b"-1", b"0", b"null", b'"text"', b"[]", b"{}", b"9" * 30, b"true", b"\xff\xfe", b"[" * 3000, b"")


def place(content: bytes, share: float) -> int:
    """Return the byte at ``share`` of the length."""
    return min(int(share * len(content)), max(len(content) - 1, 0))


def flipped(share: float, bit: int) -> Damage:
    def flip(content: bytes) -> bytes:
        at = place(content, share)
        return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :] if content else content

    return flip


def cut(share: float) -> Damage:
    return lambda content: content[: place(content, share)]


def inserted(share: float, what: bytes) -> Damage:
    return lambda content: content[: place(content, share)] + what + content[place(content, share) :]


def without(share: float, length: int) -> Damage:
    return lambda content: content[: place(content, share)] + content[place(content, share) + length :]


def another_number(share: float, what: bytes) -> Damage:
    """Put something odd in the place of a number of a text."""

    def replace(content: bytes) -> bytes:
        found = list(NUMBER.finditer(content))
        if not found:
            return content
        match = found[min(int(share * len(found)), len(found) - 1)]
        return content[: match.start()] + what + content[match.end() :]

    return replace


def several(parts: list[Damage]) -> Damage:
    def apply(content: bytes) -> bytes:
        for part in parts:
            content = part(content)
        return content

    return apply


SHARES = st.floats(0, 1, exclude_max=True)
DAMAGES = st.lists(
    st.one_of(
        st.builds(flipped, SHARES, st.integers(0, 7)),
        st.builds(cut, SHARES),
        st.builds(inserted, SHARES, st.one_of(st.sampled_from(ODD + MARKS), st.binary(max_size=40))),
        st.builds(without, SHARES, st.integers(1, 200)),
        st.builds(another_number, SHARES, st.sampled_from(ODD)),
    ),
    min_size=1,
    max_size=3,
).map(several)
