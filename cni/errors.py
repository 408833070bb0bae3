"""What can go wrong in attaching a container, with the codes of the CNI spec.

CniError                    code, message, details; this is what a plugin prints as JSON
├── InvalidConfig           7: a field of the network configuration is wrong; names field and value
├── UnsupportedField        2: a field that we know and do not do
├── IncompatibleVersion     1
├── InvalidEnvironment      4: names the variables
├── DecodeFailed            6: not JSON, or not of the form that the spec says
└── PluginFailed            a plugin said so; carries its own code
"""

from __future__ import annotations

from enum import IntEnum

from netsim.errors import NetsimError


class Code(IntEnum):
    """Error codes of the spec; those from 100 on are the plugin's own."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODE_FAILURE = 6
    INVALID_CONFIG = 7
    TRY_AGAIN_LATER = 11
    NOT_AVAILABLE = 50
    LIMITED_CONNECTIVITY = 51
    CHECK_FAILED = 100
    NO_ADDRESS_LEFT = 101


class CniError(NetsimError):
    """A failure in the spec's terms."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(f"{message}: {details}" if details else message)
        self.code = code
        self.message = message
        self.details = details

    def to_json(self, version: str) -> dict[str, object]:
        """The spec's error object."""
        body: dict[str, object] = {"cniVersion": version, "code": int(self.code), "msg": self.message}
        return body | {"details": self.details} if self.details else body


class InvalidConfig(CniError):
    """A field has a value that cannot be."""

    def __init__(self, field: str, value: object, needed: str) -> None:
        super().__init__(Code.INVALID_CONFIG, f"invalid network configuration: {field} is {value!r}", needed)


class UnsupportedField(CniError):
    """A field that this plugin does not do; it is refused, not ignored."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(Code.UNSUPPORTED_FIELD, f"unsupported field in network configuration: {field}: {value!r}")


class IncompatibleVersion(CniError):
    """A version of the spec that is not spoken here."""

    def __init__(self, version: str, supported: tuple[str, ...]) -> None:
        details = f"supported are {', '.join(supported)}"
        super().__init__(Code.INCOMPATIBLE_VERSION, f"incompatible CNI version {version!r}", details)


class InvalidEnvironment(CniError):
    """Variables that are missing or wrong."""

    def __init__(self, *names: str, details: str = "") -> None:
        super().__init__(Code.INVALID_ENVIRONMENT, f"missing or invalid environment: {', '.join(names)}", details)


class DecodeFailed(CniError):
    """Text that could not be read."""

    def __init__(self, what: str, details: str = "") -> None:
        super().__init__(Code.DECODE_FAILURE, f"failed to decode {what}", details)


class PluginFailed(CniError):
    """What a plugin answered instead of a result."""

    def __init__(self, plugin: str, code: int, message: str, details: str = "") -> None:
        super().__init__(code, f"plugin {plugin}: {message}", details)
        self.plugin = plugin
