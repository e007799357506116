"""Abbreviations whose full stop ends no sentence, each with the words to say for it."""

from __future__ import annotations

import re

from pipeline.languages import Language

ABBREVIATIONS: dict[Language, dict[str, str]] = {
    Language.EN: {
        "Mr.": "Mister",
        "Mrs.": "Missus",
        "Ms.": "Miz",
        "Dr.": "Doctor",
        "Prof.": "Professor",
        "St.": "Saint",
        "Jr.": "Junior",
        "Sr.": "Senior",
        "vs.": "versus",
        "e.g.": "for example",
        "i.e.": "that is",
        "a.m.": "A M",
        "p.m.": "P M",
        "approx.": "approximately",
        "U.S.": "U S",
        "U.K.": "U K",
        "etc.": "et cetera",
        "Inc.": "Incorporated",
        "Ltd.": "Limited",
        "Mt.": "Mount",
    },
    Language.FR: {
        "M.": "Monsieur",
        "MM.": "Messieurs",
        "Dr.": "Docteur",
        "Mme.": "Madame",
        "Mlle.": "Mademoiselle",
        "p. ex.": "par exemple",
        "env.": "environ",
        "av.": "avenue",
        "etc.": "et cetera",
        "cf.": "voir",
        "c.-à-d.": "c'est-à-dire",
        "J.-C.": "Jésus-Christ",
    },
    Language.ES: {
        "Sr.": "Señor",
        "Sra.": "Señora",
        "Srta.": "Señorita",
        "Dr.": "Doctor",
        "Dra.": "Doctora",
        "D.": "Don",
        "Dña.": "Doña",
        "Ud.": "usted",
        "Uds.": "ustedes",
        "p. ej.": "por ejemplo",
        "aprox.": "aproximadamente",
        "EE. UU.": "Estados Unidos",
        "a. m.": "de la mañana",
        "p. m.": "de la tarde",
        "etc.": "etcétera",
        "pág.": "página",
        "núm.": "número",
        "a. C.": "antes de Cristo",
        "d. C.": "después de Cristo",
    },
    Language.ZH: {},
    Language.JA: {},
    Language.KO: {},
}


def abbreviation_pattern(abbreviation: str) -> re.Pattern[str]:
    """Where a text has it, with or without the spaces within: "p. ex." and "p.ex."."""
    return re.compile(r"(?<!\w)" + re.escape(abbreviation).replace(r"\ ", r"\s?") + r"(?!\w)")
