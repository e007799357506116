"""Abbreviations whose full stop ends no sentence, each with the words to say for it."""

from __future__ import annotations

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
    },
    Language.ZH: {},
    Language.JA: {},
    Language.KO: {},
}
