"""Lists as programs and people write them, each with its right outcome. No number or name is a real person's."""

import codecs
from dataclasses import dataclass, field

ADA, BOB, EVE = "+4915112345678", "+4915112345679", "+4915112345670"
US_A, US_B = "+14155550101", "+14155550102"
GOOGLE = (
    "First Name,Middle Name,Last Name,Nickname,File As,Organization Name,Birthday,Notes,Photo,Labels,"
    "E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value"
)
OUTLOOK = [
    *("First Name", "Middle Name", "Last Name", "Title", "Suffix", "Nickname", "Given Yomi", "Surname Yomi"),
    *("E-mail Address", "E-mail 2 Address", "E-mail 3 Address", "Home Phone", "Home Phone 2", "Business Phone"),
    *("Business Phone 2", "Mobile Phone", "Car Phone", "Other Phone", "Primary Phone", "Pager", "Business Fax"),
    *(f"Column {number}" for number in range(22, 93)),
]


@dataclass(frozen=True)
class ListFile:
    """`taken` are numbers with the value of the variable that the text uses; `refused` and `notes` are rows with codes.

    `code` is why the whole file is refused.
    """

    content: bytes
    taken: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    code: str = ""
    text: str = "Hi {name}"
    country: str = ""
    to_column: str = ""


def lines(*rows: str, end: str = "\r\n") -> bytes:
    return (end.join(rows) + end).encode()


BOTH = [(US_A, "Ada"), (US_B, "Bob")]
ROWS = (f"{US_A};Ada", f"{US_B};Bob")
COMMAS = lines("to,name", f"{US_A},Ada", f"{US_B},Bob")

CORPUS = {
    "Excel, CSV UTF-8 of Germany": ListFile(codecs.BOM_UTF8 + lines("to;name", *ROWS), BOTH),
    "Excel, CSV UTF-8 of the USA": ListFile(codecs.BOM_UTF8 + COMMAS, BOTH),
    "Excel, Unicode text": ListFile(
        codecs.BOM_UTF16_LE + f"to\tname\r\n{US_A}\tAda\r\n{US_B}\tBob\r\n".encode("utf-16-le"), BOTH
    ),
    "UTF-16, big endian": ListFile(codecs.BOM_UTF16_BE + COMMAS.decode().encode("utf-16-be"), BOTH),
    "Excel, a first line that names the delimiter": ListFile(lines("sep=;", "to;name", *ROWS), BOTH),
    "the same in quotes and with a tab": ListFile(lines('"sep=\t"', "to\tname", f"{US_A}\tAda", f"{US_B}\tBob"), BOTH),
    "Excel, old encoding": ListFile("to;name\r\n+14155550101;J\u00fcrgen\r\n".encode("cp1252"), code="not_utf8"),
    "Excel, rounded numbers": ListFile(
        lines("to;name", "4,91512E+12;Ada", "4.91512E+12;Bob", f"{US_A};Eve"),
        [(US_A, "Eve")],
        [(2, "rounded_number"), (3, "rounded_number")],
        country="DE",
    ),
    "Excel, leading zeros lost": ListFile(
        lines("to;name", "15112345678;Ada", "4915112345679;Bob"), [(ADA, "Ada"), (BOB, "Bob")], country="DE"
    ),
    "Excel, apostrophes that keep numbers a text": ListFile(
        lines("to;name", f"'{US_A};Ada", f"\u2019{US_B};Bob"), BOTH
    ),
    "Excel, blank rows to the end of the sheet": ListFile(lines("to;name", *ROWS, *[";"] * 200), BOTH),
    "Excel, a workbook": ListFile(b"PK\x03\x04\x14\0\6\0\x08\0\0\0!\0", code="workbook"),
    "Excel 97, a workbook": ListFile(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", code="workbook"),
    "Outlook, 92 columns, rows without trailing cells": ListFile(
        lines(",".join(OUTLOOK), f"Ada,,L{',' * 13}{US_A}", f"Bob,,M{',' * 13}{US_B}"),
        BOTH,
        notes=[(1, "columns_ignored")],
        text="Hi {First_Name}",
    ),
    "ONLYOFFICE, shorter rows": ListFile(
        lines("to,name,city,note", f"{US_A},Ada", f"{US_B},Bob,,", f"{US_A}", end="\n"), BOTH
    ),
    "empty cells too many": ListFile(lines("to,name", f"{US_A},Ada,,", f"{US_B},Bob,"), BOTH),
    "filled cells too many": ListFile(
        lines("to,name", f"{US_A},Ada", f"{US_B},Bob,x"), BOTH[:1], [(3, "wrong_number_of_fields")]
    ),
    "Google contacts": ListFile(
        lines(GOOGLE, f"Ada,,L,,,,,,,* myContacts,,,Mobile,{US_A},,", f"Bob{',' * 12}Mobile,{US_B}", end="\n"),
        BOTH,
        text="Hi {First_Name}",
    ),
    "Google contacts, two numbers in a cell": ListFile(
        lines(GOOGLE, "Ada,,L,,,,,,,,,,Mobile,030 123456 ::: 0151 12345678,,", end="\n"),
        [(ADA, "Ada")],
        notes=[(2, "several_numbers")],
        text="Hi {First_Name}",
        country="DE",
    ),
    "Numbers, quotes everywhere": ListFile(lines('"to","name"', f'"{US_A}","Ada"', f'"{US_B}","Bob"', end="\n"), BOTH),
    "LibreOffice, tabs": ListFile(lines("to\tname", f"{US_A}\tAda", f"{US_B}\tBob", end="\n"), BOTH),
    "line ends of old Macs": ListFile(lines("to;name", *ROWS, end="\r"), BOTH),
    "Ctrl-Z at the end": ListFile(COMMAS + b"\x1a", BOTH),
    "cells of several lines": ListFile(
        lines("to,name", f'{US_A},"Ada\nL"', f'{US_B},"Bob ""B"", Jr"'), [(US_A, "Ada\nL"), (US_B, 'Bob "B", Jr')]
    ),
    "contacts: invisible marks around numbers": ListFile(
        lines("to,name", f"\u202a{US_A}\u202c,Ada", f"\u2066{US_B}\u2069\u200b,Bob"), BOTH
    ),
    "contacts: marks and odd blanks inside": ListFile(
        lines("to,name", "+1\u202f415\u2009555\u30000101,Ada", "+1\u2060 (415)\u00ad 555\u20140102\ufeff,Bob"), BOTH
    ),
    "contacts: the country in brackets": ListFile(lines("to,name", "(+49) 151 12345678,Ada"), [(ADA, "Ada")]),
    "national numbers of a named country": ListFile(
        lines("Name;Handy", "Ada;0151 12345678", "Bob;0049151/12345679", "Eve;49151-12345670"),
        [(ADA, "Ada"), (BOB, "Bob"), (EVE, "Eve")],
        text="Hi {Name}",
        country="DE",
    ),
    "national numbers without a country": ListFile(
        lines("to;name", "0151 12345678;Ada", f"{US_B};Bob"), [(US_B, "Bob")], [(2, "country_missing")]
    ),
    "a semicolon between two numbers": ListFile(
        lines("to,name", f'"{US_A}; {US_B}",Ada'), [(US_A, "Ada")], notes=[(2, "several_numbers")]
    ),
    "a slash between two numbers": ListFile(
        lines("to,name", "030 123456 / 0151 12345678,Ada"),
        [(ADA, "Ada")],
        notes=[(2, "several_numbers")],
        country="DE",
    ),
    "a column by its French name": ListFile(
        lines("Pr\u00e9nom;T\u00e9l\u00e9phone portable", f"Ada;{US_A}", f"Bob;{US_B}"), BOTH, text="Hi {Prenom}"
    ),
    "a column that is chosen": ListFile(lines("name,Private", f"Ada,{US_A}", f"Bob,{US_B}"), BOTH, to_column="private"),
    "no column of numbers": ListFile(lines("name,fax", f"Ada,{US_A}"), code="missing_to"),
    "two columns named to": ListFile(lines("to,to,name", f"{US_A},{US_B},Ada"), code="duplicate_column"),
    "two equal names that the text does not use": ListFile(
        lines("to,x,x,name", f"{US_A},1,2,Ada", f"{US_B},1,2,Bob"), BOTH, notes=[(1, "columns_ignored")]
    ),
    "two equal names that the text uses": ListFile(lines("to,name,name", f"{US_A},a,b"), code="duplicate_column"),
    "a header that is a variable": ListFile(
        lines("Phone Number,First name", f"{US_A},Ada", f"{US_B},Bob"), BOTH, text="Hi {First_name}"
    ),
    "a value that is missing": ListFile(lines("to,other", f"{US_A},Ada"), refused=[(2, "missing_variable")]),
    "blank lines before and between": ListFile(lines("", "to,name", "", f"{US_A},Ada", "", f"{US_B},Bob"), BOTH),
    "a number twice": ListFile(COMMAS + lines(f"{US_A},again"), BOTH),
    "no header": ListFile(lines(f"{US_A},Ada", f"{US_B},Bob"), code="no_header"),
    "an open quote": ListFile(COMMAS + b'+14155550103,"Eve\n', code="unclosed_quote"),
    "NUL bytes": ListFile(b"to,name\r\n\0\0\r\n", code="nul"),
    "two delimiters in the header": ListFile(lines("to,name;x", f"{US_A},Ada"), code="bad_column_name"),
}
