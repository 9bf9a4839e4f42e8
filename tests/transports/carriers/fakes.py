"""Every fake carrier that can be built on this machine.

Telnyx and Vonage sign with public keys, which takes the `cryptography` package.
"""

from importlib.util import find_spec

from tests.transports.carriers.fake_plivo import FakePlivo
from tests.transports.carriers.fake_twilio import FakeTwilio
from tests.transports.carriers.stage import FakeCarrier

FAKES: list[type[FakeCarrier]] = [FakeTwilio, FakePlivo]
if find_spec("cryptography") is not None:
    from tests.transports.carriers.fake_telnyx import FakeTelnyx
    from tests.transports.carriers.fake_vonage import FakeVonage

    FAKES += [FakeTelnyx, FakeVonage]
