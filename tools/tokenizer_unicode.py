"""Compares Python's string methods with ours over all code points, or writes their tables.

    cargo run --release -p albert-tokenizer --example unicode > ours.txt
    python3.11 tools/tokenizer_unicode.py ours.txt            # exit status 1 if a line differs
    python3.11 tools/tokenizer_unicode.py --tables > crates/tokenizer/src/python/tables.rs

Each line of ours.txt: code point, lower(), is it passed over between a letter and a final sigma, the same behind a
sigma, NFKD without combining characters, isspace, isdigit. To write the tables, ours.txt is not needed, but which
characters are newer than Python's Unicode can only be told from what later tables say: they come with --newer FILE,
an ours.txt made with an empty table NEWER.
"""
import sys, unicodedata


def row(code):
    c = chr(code)
    hexed = lambda s: " ".join(f"{ord(x):x}" for x in s)
    stripped = "".join(x for x in unicodedata.normalize("NFKD", c) if not unicodedata.combining(x))
    return "\t".join([f"{code:x}", hexed(c.lower()), str(int(("a" + c + "Σ").lower().endswith("ς"))), str(int(("aΣ" + c + "b").lower()[1] == "ς")),
                      hexed(stripped), str(int(c.isspace())), str(int(c.isdigit()))])


def codes():
    return (code for code in range(0x110000) if not 0xD800 <= code < 0xE000)


def ranges(wanted, joins=lambda code: False):
    out = []
    for code in wanted:
        if out and all(joins(c) for c in range(out[-1][1] + 1, code)):
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def table(name, rows):
    body = "\n".join(f"    (0x{a:04X}, 0x{b:04X})," for a, b in rows)
    return f"#[rustfmt::skip]\npub(super) const {name}: [(u32, u32); {len(rows)}] = [\n{body}\n];\n"


def main():
    if sys.argv[1] == "--tables":
        unassigned = lambda code: unicodedata.category(chr(code)) == "Cn"
        newer = []
        if len(sys.argv) > 3 and sys.argv[2] == "--newer":
            for line in open(sys.argv[3], encoding="utf-8"):
                code = int(line.split("\t")[0], 16)
                if line.rstrip("\n") != row(code) and unassigned(code):
                    newer.append(code)
        print(f"""//! Where Python 3.11 (Unicode {unicodedata.unidata_version[:2]}) and this program's tables (Unicode 17) differ, and its digits.
//!
//! Written by tools/tokenizer_unicode.py.

/// Characters that Unicode 14 does not have and that later tables give a lower case, a
/// decomposition, a combining class or a part in the rule of the final sigma. Ranges may span
/// other characters that Unicode 14 does not have.
{table("NEWER", ranges(newer, unassigned))}
/// Characters for which `str.isdigit` is true.
{table("DIGITS", ranges(code for code in codes() if chr(code).isdigit()))}""", end="")
        return
    wrong = 0
    for line, code in zip(open(sys.argv[1], encoding="utf-8"), codes(), strict=True):
        if line.rstrip("\n") != row(code):
            wrong += 1
            if wrong <= 20:
                print("ours  ", line.rstrip("\n"), "\npython", row(code))
    print(f"Unicode {unicodedata.unidata_version}: {wrong} code points differ")
    sys.exit(1 if wrong else 0)


main()
