"""Names that people and programs give to the columns of product files.

English, German, French, Spanish, Italian, Dutch, Polish, Portuguese and Russian; the exports and
templates of Shopify, WooCommerce, Magento, PrestaShop, Google Merchant, Amazon, Etsy and Akeneo.
A strong name matches by itself. A weak one may mean the field, or something near it: it is
suggested, and asked about where it matters.
"""

import re
import unicodedata
from collections.abc import Iterable

# What names are told apart by: letters and digits, without case and accents.
_noise = re.compile(r"[\W_]+")
# In brackets or at the end of a name: what says nothing about which field it is.
_CURRENCIES = "eur|euro|usd|gbp|chf|pln|zl|rub|czk|sek|nok|dkk|brl|cad|aud|[€$£¥₽]|zł|r\\$|руб"
_LANGUAGES = "en|de|fr|es|it|nl|pl|pt|ru"
_ASIDE = re.compile(
    r"[(\[{<]\s*(?:"
    rf"{_CURRENCIES}|{_LANGUAGES}|required|optional|mandatory|pflichtfeld|requis|obligatoire"
    r"|obligatorio|html|text|max\.?\s*\d+[^)]*"
    r"|\d\s*[/,=|-].{0,20}|(?:y|yes|true|ja|oui|si|sí|on|j)\s*(?:/|\||or|oder)\s*\w{1,6}"
    r")\s*[)\]}>]",
    re.I,
)
_LANGUAGE = re.compile(rf"[\s_.-](?:{_LANGUAGES})$", re.I)
_TAIL = re.compile(
    rf"(?:[\s_./-]+(?:in[\s_]+)?|(?<=\w)(?=[€$£]))(?:{_CURRENCIES}|(?:{_LANGUAGES})[_-][a-z]{{2}}"
    r"(?:-(?:ecommerce|print|mobile))?)\.?$",
    re.I,
)
_TAXES = "mwst|ust|mehrwertsteuer|steuer|vat|tax|gst|btw|iva|tva|dph|moms|ндс"
_TAX = re.compile(
    rf"[\s,_-]+[(\[]?(?:(?:inkl|incl|inc|exkl|excl|exc|ex|zzgl|ohne|mit|with|without|con|sin|com|sem"
    rf"|avec|sans|bez|s|z|с|без|plus|\+)\.?[\s_]*(?:{_TAXES})|(?:{_TAXES})\.?[\s_]*(?:inkl|incl|inc"
    r"|exkl|excl|inclus|exclus|incluido|inclusa|esclusa|incluso)\w*|netto|brutto|net|gross|ht|ttc)"
    r"\.?[)\]]?$",
    re.I,
)


def key_of(name: str) -> str:
    """A column's name as it is compared: its letters and digits, without case and accents."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return _noise.sub("", "".join(c for c in text if not unicodedata.combining(c)))


def keys_of(names: Iterable[str]) -> list[str]:
    """The keys of a file's columns."""
    return [key_of(name) for name in names]


def bare_keys_of(names: Iterable[str]) -> list[str]:
    """The bare keys of a file's columns."""
    return [bare_key_of(name) for name in names]


def bare_key_of(name: str) -> str:
    """The same without a currency, a language, “(0/1)”, “(required)” at its end."""
    text = _ASIDE.sub(" ", unicodedata.normalize("NFKC", name)).strip(" *:#")
    return key_of(_TAIL.sub("", text)) or key_of(name)


def without_tax(name: str) -> list[str]:
    """The bare key of a name without what it says of a tax at its end; none if it says nothing."""
    text = _TAIL.sub("", _ASIDE.sub(" ", unicodedata.normalize("NFKC", name)).strip(" *:#"))
    bare = _TAX.sub("", text)
    return [bare_key_of(bare)] if bare != text else []


def in_brackets(name: str) -> tuple[str, str] | None:
    """The bare keys of what stands before brackets and in them, at a name's end."""
    found = re.fullmatch(r"([^()]+)\(([^()]+)\)\s*", name.strip())
    return (bare_key_of(found[1]), bare_key_of(found[2])) if found else None


def in_any_language(name: str) -> str:
    """The bare key of a name that ends in a language alone (``name_de``); blank for another."""
    bare = _LANGUAGE.sub("", name.strip())
    return bare_key_of(bare) if bare and bare != name.strip() else ""


_STRONG = {
    "sku": """
        sku, product sku, item sku, sku code, stock keeping unit, variant sku, seller sku,
        merchant sku, sku number, sku no, sku id, product code, item code, article code, item
        number, item no, item nr, item num, product number, product no, product nr, article
        number, article no, article nr, part number, part no, part nr, stock code, stock number,
        catalog number, catalogue number, cat no, product reference, item reference, reference,
        reference number, ref no, internal reference, default code, seller-sku, item_sku,
        product_sku, vendor code, Artikelnummer, Artikel-Nr., Artikelnr, Artikel Nr, Art.-Nr.,
        Art. Nr., ArtNr, Art-Nummer, Artikel-Nummer, Artikelcode, Produktnummer, Produkt-Nr,
        Produktcode, Bestellnummer, Bestell-Nr., Best.-Nr., Materialnummer, Material-Nr,
        Teilenummer, Sachnummer, ordernumber, Artikel-ID, Lieferantenartikelnummer,
        Mat.-Nr., Artikelkennung, référence,
        réf, ref., référence produit, référence article, code article, code produit, UGS, numéro
        d'article, n° article, no article, référence interne, código, código de producto, código
        producto, código artículo, código de artículo, cód. artículo, cód. art.,
        referencia, ref. producto, código sku,
        número de artículo, clave, clave producto, codice, codice articolo, codice prodotto, cod.
        articolo, cod. art., codice sku, riferimento, numero articolo, artikelnummer, artikelcode,
        productcode, productnummer, bestelnummer, art. nr, kod, kod produktu, kod towaru, numer
        katalogowy, nr katalogowy, symbol, indeks, numer artykułu, kod artykułu, nr artykułu,
        código do produto, código do artigo, referência, cód., cod. produto, ref. do produto,
        артикул, код товара, артикул товара, код артикула, номенклатурный номер, kód, kód produktu,
        kód zboží, objednací číslo, katalogové číslo, varenummer, varenr, artikkelnummer
    """,
    "name": """
        name, title, product name, product title, item name, item title, article name, post title,
        product_name, item_name, item-name, listing title, product, article title, Bezeichnung,
        Artikelbezeichnung, Produktbezeichnung, Artikelname, Produktname, Titel, Produkttitel,
        Artikeltitel, Benennung, Artikelbenennung, Bezeichnung 1, Bezeichnung1,
        Artikelbezeichnung 1, Produktbezeichnung 1, Name 1, désignation 1, libellé 1, nom, nom du
        produit, nom produit, nom de l'article, désignation, libellé, intitulé, titre, désignation
        article, libellé produit, titre du produit, nombre, nombre del producto, nombre producto,
        nombre de producto, título, nombre artículo, nombre del artículo, denominación, nome, nome
        prodotto, nome del prodotto, titolo, denominazione, nome articolo, naam, productnaam,
        artikelnaam, titel, product naam, benaming, productomschrijving kort, nazwa, nazwa
        produktu, nazwa towaru, tytuł, nazwa artykułu, nome do produto, nome do artigo, título do
        produto, designação, название, наименование, название товара, наименование товара, имя
        товара, номенклатура, имя, název, název produktu, název zboží, názov, názov produktu,
        benämning, produktnamn, navn, produktnavn, varenavn
    """,
    "description": """
        description, product description, long description, desc, full description, body, body
        html, body (html), item description, post content, product_description, description html,
        html description, Beschreibung, Artikelbeschreibung, Produktbeschreibung,
        Langbeschreibung, Langtext, Artikeltext, Beschreibungstext, Produkttext, Artikellangtext,
        description_long, description longue, description du produit, descriptif, description
        produit, description complète, texte, descripción, descripción del producto, descripción
        larga, descripción producto, descrizione, descrizione prodotto, descrizione lunga,
        descrizione articolo, descrizione estesa, omschrijving, beschrijving, productomschrijving,
        productbeschrijving, artikelomschrijving, lange omschrijving, opis, opis produktu, opis
        towaru, pełny opis, długi opis, descrição, descrição do produto, descrição longa,
        descrição completa, описание, описание товара, полное описание, подробное описание, popis,
        popis produktu, beskrivning, beskrivelse
    """,
    "price": """
        price, product price, item price, regular price, retail price, selling price, sales price,
        variant price, standard price, standard_price, base price, our price, sell price, price
        tax excluded, price tax included, price excl tax, price incl tax, price ex vat, price inc
        vat, price excl vat, price incl vat, price without tax, price with tax, net price, gross
        price, price net, price gross, list price, catalog price, price 1, price wholesale tax
        excluded, shop price, web price, consumer price, end user price, Preis, Verkaufspreis, VK,
        VKP, VK-Preis, VK netto, VK brutto, Listenpreis, Nettopreis, Bruttopreis, Preis netto,
        Preis brutto, Ladenpreis, Endpreis, Artikelpreis, Katalogpreis, Verkaufspreis netto,
        Verkaufspreis brutto, Produktpreis, Netto-VK, Brutto-VK, Endkundenpreis,
        Nettoverkaufspreis, Bruttoverkaufspreis, Endverbraucherpreis, Normalpreis, Preis 1,
        Einzelhandelspreis, Regulärer Preis, prix, tarif, prix de vente, prix HT, prix TTC, prix
        public, PVHT, PVTTC, prix de vente HT, prix de vente TTC, prix régulier, tarif régulier,
        prix catalogue, tarif HT, tarif public, prix normal, precio, PVP, precio de venta, precio
        venta, precio regular, precio sin IVA, precio con IVA, precio normal, precio final,
        tarifa, prezzo, prezzo di vendita, prezzo vendita, prezzo listino, listino, prezzo al
        pubblico, prezzo di listino, prezzo IVA esclusa, prezzo IVA inclusa, prezzo normale,
        prijs, verkoopprijs, prijs excl btw, prijs incl btw, brutoprijs, nettoprijs, bruto prijs,
        netto prijs, winkelprijs, catalogusprijs, normale prijs, standaardprijs, cena, cena
        sprzedaży, cena brutto, cena netto, cena detaliczna, cena katalogowa, cena podstawowa,
        cena regularna, preço, preço de venda, preço normal, preço sem IVA, preço com IVA, valor,
        цена, цена продажи, розничная цена, цена розничная, цена товара, стоимость, прайс, базовая
        цена, cena s DPH, cena bez DPH, prodejní cena, predajná cena, pris, pris inkl moms, pris
        exkl moms, utpris, salgspris, försäljningspris
    """,
    "active": """
        active, is active, is_active, enabled, is enabled, product active, active status, aktiv,
        ist aktiv, Artikel aktiv, aktiviert, freigeschaltet, actif, activé, produit actif, est
        actif, active produit, activo, activado, habilitado, producto activo, attivo, attivato,
        abilitato, prodotto attivo, actief, is actief, ingeschakeld, geactiveerd, aktywny,
        aktywne, czy aktywny, włączony, ativo, ativado, produto ativo, активен, активный,
        активность, включен, включено, aktivní, aktívny
    """,
}

# field -> what else such a name may mean -> the names. The reason is part of a sentence: "“X” may
# be ...".
_WEAK = {
    "sku": {
        "the number of a row in another system": """
            id, product id, item id, article id, variant id, entity id, post id, uid, key, guid,
            identifier, asin, listing id, ID produit, id artykułu, Nr., no, number, nummer, numero
        """,
        "the number on the packaging, of which several products can have none": """
            ean, gtin, upc, barcode, bar code, ean13, ean code, gtin13, isbn, variant barcode,
            GTIN/EAN, Strichcode, code barre, code-barres, código de barras, codice a barre,
            streepjescode, kod kreskowy, kod ean, штрихкод, штрих-код
        """,
        "the manufacturer's or supplier's own number": """
            mpn, manufacturer part number, manufacturer sku, manufacturer number, mfr part number,
            supplier sku, supplier code, supplier reference, vendor sku, Herstellernummer,
            Hersteller-Nr, Herstellerartikelnummer, Lieferantennummer, référence fournisseur,
            référence fabricant, referencia proveedor, codice fornitore, kod producenta,
            leveranciersnummer, referência do fornecedor, артикул производителя, код поставщика
        """,
        "another name of the product": """
            handle, model, model number, slug, url key, code, art, article, item, artikel, Modell,
            modèle, modelo, modello, article group, parent sku, parent, модель, код
        """,
    },
    "name": {
        "a shorter or another text": """
            short name, label, model name, display name, caption, headline, short description,
            Kurzbezeichnung, Kurztext, Matchcode, Bezeichnung 2, Artikelkurztext, name 2,
            subtitle, meta title, libellé court, descripción corta, descrizione breve, korte
            omschrijving, krótki opis, descrição curta, item, article, artikel, Produkt, produit,
            producto, prodotto, produkt, produto, artículo, articolo, artykuł, товар
        """,
    },
    "description": {
        "a shorter text, or one for search engines": """
            short description, excerpt, summary, details, specification, specifications, features,
            meta description, bullet point 1, content, Kurzbeschreibung, Zusatztext, Bemerkung,
            résumé, description courte, short_description, descripción corta, resumen, descrizione
            breve, korte omschrijving, krótki opis, descrição curta, краткое описание, comments,
            notes
        """,
    },
    "price": {
        "the price of one unit or of a kilogram": """
            unit price, price per unit, price per piece, price each, each price, price/unit, price
            per kg, Einzelpreis, Stückpreis, Grundpreis, Preis/Stück, Preis pro Stück, Preis pro
            Einheit, Preis je Einheit, EP, prix unitaire, PU, PU HT, prix unitaire HT, precio
            unitario, precio por unidad, prezzo unitario, stukprijs, eenheidsprijs, prijs per
            stuk, cena jednostkowa, cena za sztukę, preço unitário, цена за единицу, цена за шт
        """,
        "another amount": "amount, Betrag, montant, importe, importo, bedrag, kwota, сумма",
        "the price without or with its tax, or a weight": """
            netto, brutto, net, gross, net amount, gross amount, HT, TTC, hors taxe, hors taxes
        """,
        "what it costs you": """
            cost, unit cost, cost price, cost per item, item cost, purchase price, buying price,
            buy price, wholesale price, dealer price, trade price, supplier price, landed cost,
            dealer, wholesale, trade, Händler, Großhandel, revendeur,
            net cost, EK, EK-Preis, EK netto, Einkaufspreis, HEK, Händlerpreis, Großhandelspreis,
            prix d'achat, prix d'achat HT, PAHT, coût, prix de revient, prix revendeur, costo,
            coste, precio de compra, precio de coste, precio costo, precio mayorista, prezzo di
            acquisto, prezzo acquisto, costo unitario, inkoopprijs, inkoop, kostprijs, cena
            zakupu, cena hurtowa, koszt, preço de custo, custo, preço de compra, закупочная цена,
            цена закупки, оптовая цена, цена опт, себестоимость
        """,
        "the price in shops": """
            retail, Einzelhandel, Ladenverkauf, détail, розница
        """,
        "a former, a recommended or a passing price": """
            compare at price, compare price, variant compare at price, msrp, rrp, srp, map,
            recommended price, recommended retail price, suggested price, old price, was price,
            original price, previous price, sale price, special price, promo price, discount
            price, offer price, minimum price, maximum price, UVP, UVP brutto, UVP netto, UPE,
            Streichpreis, Aktionspreis, Sonderpreis, Angebotspreis, Staffelpreis, Pseudopreis,
            empf. VK, prix barré, prix promo, prix promotionnel, prix conseillé, PPI, ancien prix,
            prix soldé, tarif promo, precio oferta, precio rebajado, precio anterior, precio
            especial, PVPR, prezzo scontato, prezzo offerta, prezzo consigliato, prezzo speciale,
            actieprijs, adviesprijs, van prijs, oude prijs, cena promocyjna, cena przed obniżką,
            cena sugerowana, stara cena, preço promocional, preço antigo, старая цена, цена со
            скидкой, рекомендованная цена, рекомендуемая цена
        """,
    },
    "active": {
        "where it stands, in words of its own": """
            status, state, product status, item status, published, is published, publish,
            visibility, visible, is visible, online, is online, product online, show, displayed,
            on sale, for sale, listed, listing status, post status, live, Zustand, Artikelstatus,
            Produktstatus, veröffentlicht, sichtbar, sichtbarkeit, anzeigen, statut, publié,
            visibilité, en ligne, affiché, état, estado, publicado, visibilidad, stato,
            pubblicato, visibilità, gepubliceerd, zichtbaar, zichtbaarheid, stan, opublikowany,
            opublikowane, widoczny, widoczność, visível, visibilidade, situação, статус,
            опубликован, опубликовано, видимость, показывать
        """,
        "whether it is sold no longer": """
            discontinued, is discontinued, inactive, disabled, is disabled, hidden, is hidden,
            deleted, is deleted, archived, obsolete, blocked, is archived, end of life, eol,
            deactivated, Auslauf, Auslaufartikel, inaktiv, deaktiviert, gesperrt, gelöscht,
            ausgelistet, ausgelaufen, abgekündigt, discontinué, arrêté, inactif, désactivé,
            supprimé, archivé, descatalogado, inactivo, desactivado, bloqueado, fuori produzione,
            inattivo, disattivato, uitlopend, inactief, uit assortiment, wycofany, nieaktywny,
            zablokowany, descontinuado, inativo, desativado, снят с производства, неактивен,
            скрыт, удален
        """,
        "whether it is in stock": """
            availability, available, is available, in stock, stock status, is in stock, stock
            availability, Verfügbarkeit, verfügbar, lieferbar, Lieferstatus, Bestandsstatus,
            disponibilité, disponible, en stock, disponibilidad, disponibilità, disponibile,
            beschikbaar, beschikbaarheid, leverbaar, op voorraad, dostępność, dostępny,
            disponibilidade, disponível, наличие, доступность, в наличии
        """,
    },
}
INVERSE = "whether it is sold no longer"
STOCK = "whether it is in stock"
UNIT = "the price of one unit or of a kilogram"

# Parts of names that mean a price in some way.
PRICE_STEMS = (
    *("price", "preis", "prix", "precio", "prezzo", "prijs", "cena", "preco", "цена", "цены"),
    *("tarif", "vkp", "msrp"),
)
# Parts of such names that say that it is none: its group, its unit, its currency.
NO_PRICES = (
    *("group", "gruppe", "grupo", "gruppo", "grupa", "групп", "einheit", "unit", "unidad"),
    *("code", "type", "currency", "wahrung", "devise", "moneda", "valuta", "waluta", "moeda"),
    *("date", "datum", "fecha", "data", "дата"),
)
# Names that are a number of pieces alone: “10+”, “ab 100 Stk.”, “10-49”.
_from = "ab|from|qty|menge|à partir de|dès|desde|da|od|от|vanaf|>=?|≥|x"
_pieces = r"st(?:k|ck|ück|\.)?\.?|pcs?\.?|pieces?|units?|ea"
is_quantity = re.compile(
    rf"\s*(?:(?:{_from})\s*\d+\s*(?:{_pieces})?|\d+\s*(?:\+|[-–]\s*\d+)\s*(?:{_pieces})?\s*\+?"
    rf"|\d+\s*(?:{_pieces}))\s*",
    re.I,
).fullmatch
BREAK = "the price of several at once"
# Keys of the names of columns that say which currency a price is in.
CURRENCY_COLUMNS = {
    *("currency", "currencycode", "pricecurrency", "wahrung", "devise", "monnaie", "moneda"),
    *("divisa", "valuta", "waluta", "moeda", "валюта"),
}


def _keys(names: str) -> list[str]:
    return [key for name in names.split(",") if (key := key_of(name))]


# Keys of names (``key_of``) to the field that they mean, and to what else they may mean.
STRONG: dict[str, str] = {
    key: field for field, names in reversed(_STRONG.items()) for key in _keys(names)
}
WEAK: dict[str, list[tuple[str, str]]] = {}
for _field, _kinds in _WEAK.items():
    for _kind, _names in _kinds.items():
        for _key in _keys(_names):
            if _key not in STRONG:
                WEAK.setdefault(_key, []).append((_field, _kind))
