"""JSON read piece by piece, so that a file of hours takes little more memory than the keypoints in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from poseedge.errors import DataError

_PIECE = 1 << 20  # characters read at once
_SPACE = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


class JsonText:
    """A cursor in a JSON file: whole values, or the elements of an array and the keys of an object one by one.

    Every method raises ``DataError`` where the text is damaged, cut off or nested too deeply.
    """

    def __init__(self, path: Path, stream: TextIO) -> None:
        self.path, self._stream = path, stream
        self._text, self._at, self._ended = "", 0, False
        self._before = 0  # characters that have been read and let go

    def peek(self) -> str:
        """Return the next character that is no space, and leave it; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches always
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._more()

    def value(self) -> Any:
        """Return the next whole value."""
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except RecursionError as error:
                raise DataError(f"{self.path}: nested too deeply", "no detector writes such a file") from error
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self._damaged(error.msg, error.pos) from error
            except ValueError as error:  # a number of thousands of digits
                raise self._damaged(error) from error
            else:
                # A number at the end of the piece may go on in the next one.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            self._more()

    def array(self) -> Iterator[None]:
        """Step into an array; each step stands before an element, which the caller takes before the next step."""
        self._take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield None
            if self._take(",]") == "]":
                return

    def values(self) -> Iterator[Any]:
        """Return the elements of an array one by one."""
        for _ in self.array():
            yield self.value()

    def members(self) -> Iterator[str]:
        """Return the keys of an object one by one; the caller takes the value of each before the next."""
        self._take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise self._damaged(f"expected a key, found {type(key).__name__}")
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def end(self) -> None:
        """Refuse a file that goes on."""
        if self.peek():
            raise self._damaged("text after the end")

    def _take(self, expected: str) -> str:
        found = self.peek()
        if not found or found not in expected:
            raise self._damaged(f"expected {' or '.join(expected)}, found {found or 'the end'}")
        self._at += 1
        return found

    def _more(self) -> None:
        """Read on: at least as much as is waiting, so that a long value is not decoded many times."""
        waiting = self._text[self._at :]
        try:
            piece = self._stream.read(max(_PIECE, len(waiting)))
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: not UTF-8 text ({error})", "save it as UTF-8") from error
        self._before += self._at
        self._text, self._at, self._ended = waiting + piece, 0, not piece

    def _damaged(self, why: object, at: int | None = None) -> DataError:
        place = self._before + (self._at if at is None else at)
        return DataError(f"{self.path}: damaged JSON at character {place}: {why}", "it may be truncated; write it again")


def parsed_json(text: str, path: Path) -> Any:
    """Return what a string of JSON holds."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged JSON in a string ({error})") from error


@contextmanager
def json_text(path: Path) -> Iterator[JsonText]:
    """Open a JSON file for reading piece by piece."""
    with path.open(encoding="utf-8-sig") as stream:
        yield JsonText(path, stream)
