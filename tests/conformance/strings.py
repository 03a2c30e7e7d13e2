"""Byte strings that are not acceptable as UTF-8 Encoded Strings (1.5.4), and some unusual ones that are."""

BAD_STRINGS = (
    b"\x00",               # U+0000
    b"x\x00y",
    b"\xed\xa0\x80",       # U+D800, a surrogate
    b"\xed\xbf\xbf",       # U+DFFF
    b"\xed\xa0\xbd\xed\xb8\x80",  # a surrogate pair
    b"\xc0\x80",           # U+0000, too long
    b"\xc1\xbf",           # too long
    b"\xe0\x80\xaf",       # too long
    b"\xf0\x80\x80\xaf",   # too long
    b"\x80",               # continuation without a start
    b"\xe2\x82",           # cut off
    b"\xf4\x90\x80\x80",   # above U+10FFFF
    b"\xf8\x88\x80\x80\x80",
    b"\xff", b"\xfe",
)

ODD_STRINGS = (" ", "\u00e9", "e\u0301", "\ufeff", "\ufeffx", "\U0001F600", "\U0010FFFD", "\ue000", "\ud7ff", "\u2028")
