"""The words of a line that is being typed, and what has to be typed for a value to come out of it again."""

from __future__ import annotations

# In bash, the part of a word behind the last of these is completed by itself.
BREAKS = ":=@"
# What no shell takes for anything but itself, wherever it stands in a word.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,+%")
# Of what does not come out of the line as it stands: variables, commands, other programs.
_ACTIVE = "$`;|&<>()"
_NOT_IN_DOUBLE = frozenset('"\\$`!')


class Line:
    """A line up to the cursor. Its last word is the one that is being typed, and may be empty."""

    def __init__(self, text: str, shell: str = "bash") -> None:
        self.words: list[str] = []
        self.plain = True  # whether each word is what it will be when the shell has read it
        self.quote = ""  # the quotes that are still open
        self._raw = ""  # the last word as it was typed
        self._escapes_in_single = shell == "fish"
        self._read(text)

    def _read(self, text: str) -> None:
        word, started, place = "", False, 0
        start = 0
        while place < len(text):
            sign = text[place]
            place += 1
            if self.quote:
                if sign == self.quote:
                    self.quote = ""
                elif sign == "\\" and self._escapes(text[place : place + 1]):
                    word += text[place : place + 1]
                    place += 1
                else:
                    self.plain = self.plain and not (self.quote == '"' and sign in "$`")
                    word += sign
            elif sign in " \t\n":
                if started:
                    self.words.append(word)
                word, started = "", False
                continue
            else:
                if not started:
                    start = place - 1
                if sign in "'\"":
                    self.quote = sign
                elif sign == "\\":
                    word += text[place : place + 1]
                    place += 1
                else:
                    self.plain = self.plain and sign not in _ACTIVE
                    word += sign
            started = True
        self.words.append(word)
        self._raw = text[start:] if started else ""

    def _escapes(self, sign: str) -> bool:
        if self.quote == '"':
            return sign in ("$", "`", '"', "\\", "\n")
        return self._escapes_in_single and sign in ("'", "\\")

    def for_bash(self, value: str) -> str | None:
        """What readline has to put in place of the last word, or of its part behind a break, for it to be `value`.

        None if that cannot be done inside the quotes that are open.
        """
        if self.quote:
            if self._raw[:1] != self.quote or self._raw.count(self.quote) > 1:
                return None
            hard = "'" if self.quote == "'" else _NOT_IN_DOUBLE
            return None if any(sign in hard for sign in value) else value
        if "'" in self._raw.replace("\\'", "") or '"' in self._raw.replace('\\"', ""):
            return None
        return escaped(value[_length_before_break(self._raw) :])


def escaped(value: str) -> str:
    """The value with a backslash before all that a shell might take for more than itself."""
    return "".join(sign if sign in _PLAIN or not sign.isascii() else f"\\{sign}" for sign in value)


def can_be_typed(value: str) -> bool:
    """Whether it is one word of a line that a person may read: nothing unseen, and not to be taken for an option."""
    return bool(value) and value.isprintable() and not value.startswith("-")


def _length_before_break(raw: str) -> int:
    """How much of the unquoted word stands before what readline completes."""
    length = before = place = 0
    while place < len(raw):
        is_escaped = raw[place] == "\\"
        place += 1 + is_escaped
        length += 1
        if not is_escaped and raw[place - 1] in BREAKS:
            before = length - (raw[place - 1] == "@")  # which readline leaves with what follows it
    return before
