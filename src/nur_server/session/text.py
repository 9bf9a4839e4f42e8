"""Text from outside, as everything behind can store and send it."""


def well_formed(text: str) -> str:
    """`text` with each half of a character (a lone surrogate) replaced by U+FFFD.

    Model servers that cut their output between two bytes or two UTF-16 units produce such halves;
    neither UTF-8 nor a database can hold them.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        joined = text.encode("utf-16-le", "surrogatepass")
        return joined.decode("utf-16-le", "replace")
    return text
