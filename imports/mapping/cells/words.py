"""Words that columns say the same things with: tables at hand, and a spreadsheet's errors."""

# What a spreadsheet shows in place of a value it could not work out, in English, German, French,
# Spanish, Italian, Dutch, Polish, Portuguese and Russian.
_ERRORS = """
    #REF! #N/A #NAME? #VALUE! #DIV/0! #NULL! #NUM! #SPILL! #CALC! #GETTING_DATA #FIELD! #BLOCKED!
    #CONNECT! #ERROR! #UNKNOWN! #BEZUG! #NV #WERT! #ZAHL! #ÜBERLAUF! #FELD! #VALEUR! #NOM? #NOMBRE!
    #NUL! #¡REF! #¿NOMBRE? #¡VALOR! #¡DIV/0! #¡NULO! #¡NUM! #N/D #RIF! #NOME? #VALORE! #NULLO!
    #VERW! #N/B #NAAM? #WAARDE! #DEEL/0! #GETAL! #LEEG! #ADR! #ARG! #N/D! #NAZWA? #LICZBA!
    #DZIEL/0! #ZERO! #VALOR! #NÚM! #NULO! #ССЫЛКА! #Н/Д #ИМЯ? #ЗНАЧ! #ДЕЛ/0! #ЧИСЛО! #ПУСТО!
"""
ERROR_WORDS = frozenset(_ERRORS.split())

_YES_NO = {
    "yes/no": "yes/no y/n",
    "ja/nein": "ja/nein j/n",
    "oui/non": "oui/non o/n",
    "si/no": "si/no sí/no s/n sì/no",
    "ja/nee": "ja/nee j/n",
    "tak/nie": "tak/nie t/n",
    "sim/não": "sim/não sim/nao s/n",
    "да/нет": "да/нет д/н",
    "ano/ne": "ano/ne áno/nie a/n",
    "ja/nej": "ja/nej ja/nei j/n",
    "igen/nem": "igen/nem i/n",
    "evet/hayır": "evet/hayır e/h",
    "WAHR/FALSCH": "wahr/falsch",
    "VRAI/FAUX": "vrai/faux",
    "VERDADERO/FALSO": "verdadero/falso",
    "VERO/FALSO": "vero/falso",
    "WAAR/ONWAAR": "waar/onwaar",
    "PRAWDA/FAŁSZ": "prawda/fałsz",
    "VERDADEIRO/FALSO": "verdadeiro/falso",
    "ИСТИНА/ЛОЖЬ": "истина/ложь",
    "Enabled/Disabled": "enabled/disabled enable/disable on/off",
    "aktiviert/deaktiviert": "aktiviert/deaktiviert aktiv/inaktiv aktiv/deaktiviert",
    "activé/désactivé": "activé/désactivé actif/inactif activée/désactivée",
    "activo/inactivo": "activo/inactivo activado/desactivado habilitado/deshabilitado",
    "attivo/inattivo": "attivo/inattivo attivo/disattivo abilitato/disabilitato",
    "actief/inactief": "actief/inactief ingeschakeld/uitgeschakeld",
    "aktywny/nieaktywny": "aktywny/nieaktywny włączony/wyłączony",
    "ativo/inativo": "ativo/inativo ativado/desativado",
    "включено/выключено": "включено/выключено включен/выключен активен/неактивен",
    "published/unpublished": "published/unpublished publish/draft publish/private",
    "online/offline": "online/offline live/offline",
    "visible/hidden": "visible/hidden visible/invisible sichtbar/versteckt sichtbar/unsichtbar",
    "1.0/0.0": "1.0/0.0 1.00/0.00 1/0",
    "✓/✗": "✓/✗ ✔/✘ ☑/☐",
}

_YES = {
    *("yes", "ja", "oui", "si", "tak", "sim", "да", "ano", "igen", "evet", "WAHR", "VRAI"),
    *("VERDADERO", "VERO", "WAAR", "PRAWDA", "VERDADEIRO", "ИСТИНА", "✓"),
}


def _pairs(text: str) -> dict[str, str]:
    table = {}
    for pair in text.split():
        yes, no = pair.split("/")
        table.update({yes: "true", no: "false"})
    return table


# Tables at hand for ``active``, by name: words (small letters) and what they stand for.
ACTIVE_TABLES: dict[str, dict[str, str]] = {
    "true/false": _pairs("true/false yes/no y/n t/f 1/0 active/inactive"),
    "active/draft/archived": {
        "active": "true",
        "draft": "false",
        "archived": "false",
        "unlisted": "false",
    },
    **{name: _pairs(text) for name, text in _YES_NO.items()},
    "1/2": {"1": "true", "2": "false"},
}
# Those whose words say yes and no, and not a state of a product.
YES_AND_NO = frozenset(name for name in _YES_NO if name.partition("/")[0] in _YES)
# Those whose words mean other things just as well: found, but asked.
UNSURE_TABLES = frozenset(("1/2",))
