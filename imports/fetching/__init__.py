"""Files from suppliers' servers, by every scheme and within limits; knows no models.

``fetch`` and ``look`` (``fetch.py``) are what others call, with the values of ``source.py``.
"""
