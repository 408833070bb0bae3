"""What names, label keys, label values, ports and paths may look like.

Each function returns the texts of what is wrong, none when the value is good. Patterns and wording
follow k8s.io/apimachinery/pkg/util/validation and pkg/api/validate/content.
"""

from __future__ import annotations

import ipaddress
import re

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"
_HTTP_HEADER = "[-A-Za-z0-9]+"

_LINK_LOCAL_MULTICAST = {4: ipaddress.ip_network("224.0.0.0/24"), 6: ipaddress.ip_network("ff02::/10", strict=False)}
_LABEL_RE = re.compile(_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_LABEL_1035_RE = re.compile(_LABEL_1035)
_WILDCARD_RE = re.compile(_WILDCARD)
_HTTP_PATH_RE = re.compile(_HTTP_PATH)
_KEY_RE = re.compile(_KEY)
_VALUE_RE = re.compile(_VALUE)
_CONFIG_KEY_RE = re.compile(_CONFIG_KEY)
_PERCENT_RE = re.compile(_PERCENT)
_HTTP_HEADER_RE = re.compile(_HTTP_HEADER)
_PORT_CHARACTERS_RE = re.compile("[-a-z0-9]+")
_PORT_LETTER_RE = re.compile("[a-z]")
_ENV_RE = re.compile("[ -<>-~]+")

_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_KEY_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)

NON_NEGATIVE = "must be greater than or equal to 0"
POSITIVE = "must be greater than zero"
INTEGER = "must be an integer"
NOT_EMPTY = "must be non-empty"


def max_length(length: int) -> str:
    """The text for a string longer than `length`."""
    return f"must be no more than {length} bytes"


def in_range(low: int, high: int) -> str:
    """The text for a number outside `low` to `high`, both allowed."""
    return f"must be between {low} and {high}, inclusive"


def pattern(text: str, expression: str, *examples: str) -> str:
    """The text for a string that does not match `expression`."""
    if not examples:
        return f"{text} (regex used for validation is '{expression}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{expression}')"


def dns1123_label(value: str) -> list[str]:
    """Namespaces, containers, port names of containers: at most 63 of a-z, 0-9 and "-"."""
    errors = [max_length(63)] if len(value) > 63 else []
    if not _LABEL_RE.fullmatch(value):
        if _SUBDOMAIN_RE.fullmatch(value):
            errors.append("must not contain dots")
        else:
            errors.append(pattern(_LABEL_TEXT, _LABEL, "my-name", "123-abc"))
    return errors


def dns1123_subdomain(value: str) -> list[str]:
    """Most object names: at most 253, labels joined by dots."""
    errors = [max_length(253)] if len(value) > 253 else []
    if not _SUBDOMAIN_RE.fullmatch(value):
        errors.append(pattern(_SUBDOMAIN_TEXT, _SUBDOMAIN, "example.com"))
    return errors


def dns1035_label(value: str) -> list[str]:
    """Services, and names of custom resources: as `dns1123_label`, and beginning with a letter."""
    errors = [max_length(63)] if len(value) > 63 else []
    if not _LABEL_1035_RE.fullmatch(value):
        text = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character"
        )
        errors.append(pattern(text, _LABEL_1035, "my-name", "abc-123"))
    return errors


def wildcard_subdomain(value: str) -> list[str]:
    """Hosts with a wildcard: "*." and a `dns1123_subdomain`."""
    errors = [max_length(253)] if len(value) > 253 else []
    if not _WILDCARD_RE.fullmatch(value):
        text = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
            "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        errors.append(pattern(text, _WILDCARD, "*.example.com"))
    return errors


def domain_prefixed_path(value: str) -> list[str]:
    """Controllers of Ingresses: a DNS domain, "/", a path."""
    domain, slash, path = value.partition("/")
    if not slash or not domain or not path:
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    errors = dns1123_subdomain(domain)
    if not _HTTP_PATH_RE.fullmatch(path):
        errors.append(pattern("Invalid path", _HTTP_PATH))
    return errors


def path_segment(value: str) -> list[str]:
    """What may stand between two slashes of a URL, as names of any kind must."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{one}'" for one in ("/", "%") if one in value]


def label_key(value: str) -> list[str]:
    """Label and annotation keys, finalizers, resource names: an optional DNS prefix, "/", a name."""
    errors: list[str] = []
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        text = pattern(_KEY_TEXT, _KEY, "MyName", "my.name", "123-abc")
        return [f"a valid label key {text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    if slash and not prefix:
        errors.append(f"prefix part {NOT_EMPTY}")
    elif slash:
        errors.extend(f"prefix part {text}" for text in dns1123_subdomain(prefix))
    if not name:
        errors.append(f"name part {NOT_EMPTY}")
    elif len(name) > 63:
        errors.append(f"name part {max_length(63)}")
    if not _KEY_RE.fullmatch(name):
        errors.append(f"name part {pattern(_KEY_TEXT, _KEY, 'MyName', 'my.name', '123-abc')}")
    return errors


def label_value(value: str) -> list[str]:
    """Label values: empty, or at most 63 of letters, digits, "-", "_" and "."."""
    errors = [max_length(63)] if len(value) > 63 else []
    if not _VALUE_RE.fullmatch(value):
        errors.append(pattern(_VALUE_TEXT, _VALUE, "MyValue", "my_value", "12345"))
    return errors


def port_number(value: int) -> list[str]:
    """1 to 65535."""
    return [] if 1 <= value <= 65535 else [in_range(1, 65535)]


def port_name(value: str) -> list[str]:
    """IANA service names: at most 15 of a-z, 0-9 and "-", with a letter among them."""
    errors = [max_length(15)] if len(value) > 15 else []
    if not _PORT_CHARACTERS_RE.fullmatch(value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _PORT_LETTER_RE.search(value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def env_name(value: str) -> list[str]:
    """Names of environment variables: printable ASCII without "="."""
    if not value:
        return [f"environment variable name {NOT_EMPTY}"]
    if not _ENV_RE.fullmatch(value):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def config_key(value: str) -> list[str]:
    """Keys of ConfigMaps and Secrets, which are file names too."""
    errors = [max_length(253)] if len(value) > 253 else []
    if not _CONFIG_KEY_RE.fullmatch(value):
        text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        errors.append(pattern(text, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        errors.append(f"must not be '{value}'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def percent(value: str) -> list[str]:
    """Numbers with a percent sign, as in maxSurge."""
    if _PERCENT_RE.fullmatch(value):
        return []
    text = "a valid percent string must be a numeric string followed by an ending '%'"
    return [pattern(text, _PERCENT, "1%", "93%")]


def http_header(value: str) -> list[str]:
    """Names of HTTP headers, as in probes."""
    if _HTTP_HEADER_RE.fullmatch(value):
        return []
    text = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [pattern(text, _HTTP_HEADER, "X-Header-Name")]


def ip_address(value: str) -> list[str]:
    """IPv4 or IPv6 addresses."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def endpoint_address(value: str) -> list[str]:
    """IPv4 or IPv6 addresses that traffic may be sent to for somebody else: none that means a host itself."""
    wrong = ip_address(value)
    if wrong:
        return wrong
    address = ipaddress.ip_address(value)
    if address.is_unspecified:
        return [f"may not be unspecified ({value})"]
    if address.is_loopback:
        return ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]
    if address.is_link_local:
        return ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
    if address in _LINK_LOCAL_MULTICAST[address.version]:
        return ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]
    return []


def cidr(value: str) -> list[str]:
    """Ranges with a prefix length."""
    wrong = ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return wrong
    return [] if "/" in value else wrong
