"""Names of columns that mean a field of one's own: its label, its key, and usual other names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from catalog.field_values import Definition
from imports.mapping.matching.aliases import bare_key_of, key_of
from imports.mapping.model import OWN_PREFIX

# Of the ready-made fields (catalog.operations.fields), by their keys; whoever made such a field
# himself has these names as well.
_ALIASES = {
    "brand": """
        brand name, manufacturer, vendor, make, Marke, Hersteller, Herstellername, marque,
        fabricant, marca, fabricante, marchio, produttore, merk, fabrikant, marka,
        producent, бренд, марка, производитель, product brand, item brand, brand_name,
        brands
    """,
    "gtin": """
        EAN, EAN13, EAN-13, EAN code, EAN-Code, barcode, bar code, UPC, UPC code, GTIN13,
        GTIN-13, GTIN-14, variant barcode, ISBN, Strichcode, Barcode (EAN), code barre,
        code-barres, código de barras, codice a barre, kod kreskowy, штрихкод, GTIN UPC EAN
        or ISBN, global unique id, external product id, code EAN, EAN number, EAN-Nummer
    """,
    "mpn": """
        manufacturer part number, mfr part number, Herstellernummer, Hersteller-Nr.,
        Herstellerartikelnummer, référence fabricant, réf. fabricant, part number
        manufacturer, manufacturer sku, codice produttore, numer producenta, supplier
        reference, mfg part number
    """,
    "category": """
        categories, product category, product type, type, Kategorie, Kategorien,
        Warengruppe, Produktgruppe, catégorie, catégories, categoría, categorías, categoria,
        categorie, kategoria, категория, google product category, product_type, category
        name, category tree, rubrique
    """,
    "stock": """
        stock quantity, quantity, qty, inventory, inventory quantity, on hand, variant
        inventory qty, Bestand, Lagerbestand, Menge, Anzahl, quantité, stock disponible,
        quantité en stock, cantidad, existencias, quantità, giacenza, voorraad, aantal,
        stan, stan magazynowy, ilość, количество, остаток, available quantity, stock level,
        quantité disponible, estoque
    """,
    "cost": """
        cost price, purchase price, cost per item, wholesale price, buying price,
        Einkaufspreis, EK, EK-Preis, Einkaufspreis netto, prix d'achat, precio de coste,
        precio de compra, prezzo di acquisto, inkoopprijs, cena zakupu, закупочная цена,
        cost of goods
    """,
    "compare_at_price": """
        compare at price, variant compare at price, compare-at price, msrp, rrp, list price,
        recommended retail price, UVP, UVP brutto, unverbindliche Preisempfehlung, prix
        conseillé, pvp recomendado, strikethrough price, was price
    """,
    "weight": """
        weight (kg), item weight, product weight, Gewicht, Gewicht (kg), poids, peso,
        gewicht kg, waga, вес, package weight, shipping weight
    """,
    "image": """
        image src, image url, image link, images, picture, picture url, photo, main image,
        image_link, variant image, Bild, Bild-URL, Bildlink, Bilder, image produit, imagen,
        immagine, afbeelding, zdjęcie, изображение, фото, base image, image urls
    """,
}
_BY_KEY = {
    key: [name for part in names.split(",") if (name := key_of(part))]
    for key, names in _ALIASES.items()
}


@dataclass(frozen=True)
class OwnNames:
    """The fields of one's own that there are, by what columns call them."""

    definitions: Mapping[str, Definition]

    @property
    def fields(self) -> list[str]:
        """Their names in rules."""
        return [OWN_PREFIX + key for key in self.definitions]

    def definition(self, field: str) -> Definition | None:
        return self.definitions.get(field.removeprefix(OWN_PREFIX))

    def label(self, field: str) -> str:
        definition = self.definition(field)
        return definition.label if definition is not None else field

    @cached_property
    def _exact(self) -> dict[str, str]:
        labels = {key_of(one.label): OWN_PREFIX + one.key for one in self.definitions.values()}
        keys = {key_of(key): OWN_PREFIX + key for key in self.definitions}
        whole = {key_of(OWN_PREFIX + key): OWN_PREFIX + key for key in self.definitions}
        return {**whole, **labels, **keys}

    @cached_property
    def _usual(self) -> dict[str, str]:
        return {
            name: OWN_PREFIX + key
            for key in self.definitions
            for name in _BY_KEY.get(key, ())
            if name not in self._exact
        }

    def named(self, name: str) -> str:
        """The field that has a column's name as its own, or blank."""
        return _first(self._exact, name)

    def usually_named(self, name: str) -> str:
        """The field that a column's name usually means, or blank."""
        return _first(self._usual, name)


_READY_MADE = {key_of(key): key for key in _ALIASES}
_READY_MADE |= {name: key for key, names in _BY_KEY.items() for name in names}


def ready_made_key(name: str) -> str:
    """The key of the ready-made field that a column's name usually means, or blank."""
    return _first(_READY_MADE, name)


def _first(known: Mapping[str, str], name: str) -> str:
    keys: Iterable[str] = (key_of(name), bare_key_of(name))
    return next((known[key] for key in keys if key and key in known), "")
