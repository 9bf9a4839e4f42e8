"""The certificate authorities this machine trusts."""

import ssl
from concurrent.futures import Future
from functools import cache
from threading import Thread

import httpx2


def trusted() -> ssl.SSLContext:
    """For every client of this process: reading them takes 50 ms. Those the environment names are
    left out."""
    return _reading().result()


def read_ahead() -> None:
    """Begin to read them, beside what the caller does next."""
    _reading()


@cache
def _reading() -> Future[ssl.SSLContext]:
    context: Future[ssl.SSLContext] = Future()

    def read() -> None:
        try:
            context.set_result(httpx2.create_ssl_context(trust_env=False))
        except BaseException as error:
            context.set_exception(error)

    Thread(target=read, name="certificates", daemon=True).start()
    return context
