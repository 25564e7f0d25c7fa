"""Writes crates/tokenizer/src/basic/ranges.rs: general categories as this Python's unicodedata has them.

    python3.11 tools/tokenizer_categories.py
"""
import os, sys, unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "crates", "tokenizer", "src", "basic", "ranges.rs")
TABLES = [
    ("CONTROL", "Cc and Cf.", lambda c: c in ("Cc", "Cf")),
    ("OTHER", "All of C: also private use and what is not assigned; surrogates are no characters.", lambda c: c[0] == "C" and c != "Cs"),
    ("SPACE", "Zs.", lambda c: c == "Zs"),
    ("NONSPACING", "Mn.", lambda c: c == "Mn"),
    ("PUNCTUATION", "All of P.", lambda c: c[0] == "P"),
]


def ranges(accept):
    out = []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or not accept(unicodedata.category(chr(code))):
            continue
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def main():
    version = unicodedata.unidata_version
    lines = [
        f"//! General categories of Unicode {version}, as Python {sys.version_info.major}.{sys.version_info.minor} has them.",
        "//!",
        "//! Written by tools/tokenizer_categories.py.",
    ]
    for name, what, accept in TABLES:
        lines += ["", f"/// {what}", "#[rustfmt::skip]", f"pub(super) const {name}: &[(u32, u32)] = &["]
        items = [f"({a:#x}, {b:#x})," for a, b in ranges(accept)]
        for i in range(0, len(items), 5):
            lines.append("    " + " ".join(items[i : i + 5]))
        lines.append("];")
    with open(OUT, "w", encoding="utf-8", newline="\n") as out:
        out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
