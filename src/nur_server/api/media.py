"""The settings of media in browsers, as its transport takes them."""

from nur_server.settings import Settings
from nur_server.transports.webrtc.media import IceServer, MediaSettings


def media_settings(settings: Settings) -> MediaSettings:
    first, _, last = (settings.webrtc_ports or "0-0").partition("-")
    return MediaSettings(
        min_port=int(first),
        max_port=int(last),
        tcp=settings.webrtc_tcp,
        address=settings.webrtc_public_ip,
        ice_servers=tuple(
            IceServer(server.urls, server.username, server.credential.get_secret_value())
            for server in settings.webrtc_ice_servers
        ),
    )
