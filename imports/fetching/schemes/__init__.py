"""How a file is fetched by each scheme of an address."""
