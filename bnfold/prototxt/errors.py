"""The one error that a prototxt file can cause."""


class PrototxtError(ValueError):
    """Something in a prototxt file is wrong, at a place the user can jump to.

    Args:
        path: the file as the user named it.
        line: line of the fault, from 1.
        column: column of the fault, from 1, in characters.
        reason: what is wrong and what to do about it, in one line.
    """

    def __init__(self, path: str, line: int, column: int, reason: str) -> None:
        if not reason.isprintable():
            # A bracketed name may be written over several lines; an error may not.
            reason = " ".join(reason.split())
        super().__init__(f"{path}:{line}:{column}: {reason}")
        self.path = path
        self.line = line
        self.column = column
        self.reason = reason

    def __reduce__(self) -> tuple[type["PrototxtError"], tuple[str, int, int, str]]:
        # The default would hand the joined text to __init__, which wants four values.
        return PrototxtError, (self.path, self.line, self.column, self.reason)
