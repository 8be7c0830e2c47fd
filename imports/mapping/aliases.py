STRONG = {
    "sku": "sku", "artikelnummer": "sku", "name": "name", "title": "name",
    "description": "description", "price": "price", "active": "active", "bezeichnung": "name",
}
