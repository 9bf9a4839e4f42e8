"""The certificate authorities this machine trusts."""

import ssl
from functools import cache

import httpx2


@cache
def trusted() -> ssl.SSLContext:
    """For every client of this process: reading them takes 50 ms. Those the environment names are
    left out."""
    return httpx2.create_ssl_context(trust_env=False)
