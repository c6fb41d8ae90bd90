r"""What must not stand in a log for good: passwords, tokens and keys, by name and by look.

This is the one list of patterns. It serves whatever is recorded without being asked for (variables
and arguments of submitted scripts, URLs of repositories), because an append-only log cannot forget.
What a user records by name (tags, parameters, config) is theirs and is not looked at.

A name counts by its words: `HF_TOKEN`, `dbPassword` and `--api-key` are secret, `MAX_TOKENS`,
`TOKENIZERS_PARALLELISM` and `AUTHOR` are not. A value counts by its look whatever its name is: URLs
with a password, tokens of known services, private keys, connection strings.

    >>> is_secret("HF_TOKEN", "x"), is_secret("MAX_TOKENS", "512")
    (True, False)
    >>> is_secret("DATABASE_URL", "postgresql://me:pw@host/db")
    True
    >>> mask_words(["train.py", "--api-key", "x", "--lr", "0.1"])
    Masked(words=('train.py', '--api-key', '***', '--lr', '0.1'), names=('--api-key',))
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

MASK: Final = "***"

# --- names ------------------------------------------------------------------------------------

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KINDS_OF_KEYS: Final = (
    "API|ACCESS|SECRET|PRIVATE|ACCOUNT|SHARED|MASTER|SIGNING|ENCRYPTION|AUTH|SSH|GPG|DEPLOY|SERVICE"
)

_KIND_OF_KEY: Final = re.compile(_KINDS_OF_KEYS)

# Secret in any name, but for what only describes one (see _DESCRIBES).
_SECRET_WORD: Final = re.compile(
    r"\w*SECRETS?|\w*PASSW(OR)?DS?|\w*PASSPHRASES?|PASSCODES?|PWD|PASS|\w*CREDENTIALS?|CREDS|"
    r"\w*TOKENS?|AUTH|OAUTH|BASICAUTH|AUTHORIZATION|BEARER|PAT|JWT|COOKIES?|KEYS?|"
    rf"\w*({_KINDS_OF_KEYS})KEYS?"
)
# Secret even as an address.
_SECRET_ADDRESS: Final = re.compile(
    r"\w*WEBHOOKS?|SAS|DSN|CONNSTR|CONNECTIONSTRING|CONNECTION STRING"
)

# Of such a name the rest says that the value is a property of a secret, or where one is kept.
_DESCRIBES: Final = re.compile(
    "LENGTH|LEN|SIZE|COUNT|LIMIT|NUM|TTL|TIMEOUT|EXPIRY|EXPIRES|AGE|INDEX|TYPE|MODE|METHOD"
    "|SCHEME|PROVIDER|ENABLED|REQUIRED|DIM|RATIO|RATE|PROB|WEIGHT|NAME|FILE|FILENAME|PATH|DIR"
    "|FOLDER|HOST|PORT|REGION|SCOPE|SCOPES|FORMAT|PARALLELISM|SOCK|HOME"
)
_ADDRESS: Final = re.compile("URL|URI|ENDPOINT")
_SWITCHES: Final = re.compile("USE|NO|SKIP|ENABLE|DISABLE|WITH|REQUIRE|HAS")

# Words of machine learning beside TOKEN, KEY and PASS.
_TOKENS_OF_TEXT: Final = re.compile(
    "PAD|EOS|BOS|UNK|SEP|CLS|MASK|SPECIAL|NEW|MAX|MIN|NUM|N|IMAGE|AUDIO|VIDEO|TEXT|STOP|START"
    "|END|EXTRA|ADDED|VOCAB|CONTEXT|PROMPT|INPUT|OUTPUT|PER|SKIP|DROP|PREFIX|SUFFIX|FIRST"
    "|LAST|VISUAL|PATCH|CLASS|REGISTER|QUERY|SOFT|VIRTUAL|COMPLETION|TOTAL"
)
_KEYS_OF_DATA: Final = re.compile(
    "SORT|PRIMARY|FOREIGN|PARTITION|GROUP|METRIC|MONITOR|CACHE|ROW|COLUMN|COL|DICT|MAP|INPUT"
    "|OUTPUT|LABEL|IMAGE|TEXT|FEATURE|TARGET|BATCH|STATE|PUBLIC|INDEX|JOIN|LOOKUP|LOSS|SCORE"
    "|QUERY|ANSWER|QUESTION|PROMPT|RESPONSE|NUM|N|HOT|SHORTCUT|ATTENTION|HEAD"
)
_PASSES_OVER_DATA: Final = re.compile(
    "NUM|N|SINGLE|MULTI|ONE|TWO|FIRST|SECOND|LOW|HIGH|BAND|FORWARD|BACKWARD|ALL|THROUGH"
)
_HARMLESS: Final = {
    **dict.fromkeys(("TOKEN", "TOKENS"), _TOKENS_OF_TEXT),
    **dict.fromkeys(("KEY", "KEYS"), _KEYS_OF_DATA),
    "PASS": _PASSES_OVER_DATA,
}
_NUMBER: Final = re.compile(r"[+-]?(\d{1,9}\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SWITCH_VALUES: Final = frozenset(("", "true", "false", "yes", "no", "on", "off", "none", "null"))
_WORKING_FOLDERS: Final = ("PWD", "OLDPWD")


def is_secret(name: str, value: str) -> bool:
    """Whether the value of a variable, or a parameter, of this name must not be recorded."""
    return is_secret_name(name, value) or looks_secret(value)


def is_secret_name(name: str, value: str = "?") -> bool:
    """Whether the name says that its value is a secret; a number or a switch hardly ever is.

    >>> [is_secret_name(name) for name in ("GITHUB_PAT", "PATH", "apiKey", "MONKEY")]
    [True, False, True, False]
    """
    words = [word.upper() for word in _WORD.findall(name)]
    if not words or name in _WORKING_FOLDERS or value.strip().lower() in _SWITCH_VALUES:
        return False
    if _SECRET_ADDRESS.fullmatch(" ".join(words[-2:])) or any(
        map(_SECRET_ADDRESS.fullmatch, words)
    ):
        return not _DESCRIBES.fullmatch(words[-1])
    if _DESCRIBES.fullmatch(words[-1]) or _SWITCHES.fullmatch(words[0]):
        return False
    return any(_says_secret(word, words, value) for word in words)


def _says_secret(word: str, words: Sequence[str], value: str) -> bool:
    if not _SECRET_WORD.fullmatch(word):
        return False
    if re.search("SECRET|PASSW|PASSPHRASE|PASSCODE|PWD|CREDENTIAL|CREDS", word):
        return True
    if word.endswith(("KEY", "KEYS")) and any(map(_KIND_OF_KEY.match, words)):
        return True
    if _NUMBER.fullmatch(value) or _ADDRESS.fullmatch(words[-1]):
        return False
    harmless = _HARMLESS.get(word)
    return harmless is None or not any(map(harmless.fullmatch, words))


# --- values -----------------------------------------------------------------------------------

_TOKEN_SHAPES: Final = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"  # GitHub
    r"|gl[a-z]{2,6}-[\w-]{18,}"  # GitLab
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    r"|sk-(?=[\w-]{0,200}\d)[\w-]{20,}|[sr]k_(?:live|test)_\w{16,}"  # OpenAI and others, Stripe
    r"|hf_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}"  # Hugging Face, Replicate
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{35}"  # AWS, Google
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|dop_v1_[0-9a-f]{40,}"  # npm, PyPI, DigitalOcean
    r"|SG\.[\w-]{16,99}\.[\w-]{16,}|dapi[0-9a-f]{32}"  # SendGrid, Databricks
    r"|eyJ[\w-]{8,300}\.eyJ[\w-]{8,}"  # JSON Web Tokens
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY"
    r"|(?:Bearer|Basic) {1,4}(?=[^ ]{0,200}\d)[A-Za-z0-9+/=._~-]{16,}"  # Authorization headers
    r")"
)
_WEBHOOKS: Final = re.compile(
    r"hooks\.slack\.com/\w+/|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/"
)
# All repetitions are bounded: a value may be long, and made up to take for ever.
# The user and password of a URL; a user alone, if it is as long as a token.
_URL_USER: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,30}://(?:[^/?#\s@:]{0,100}:[^\s@]{1,200}|(?<=https://)[^/?#\s@:]{16,300})@"
)
# A field as in a query (`sig=...`), a connection string (`AccountKey=...;`), or JSON.
_FIELD: Final = re.compile(
    r"""(?:^|[?&;,{\s])["']?(?P<name>[\w.-]{1,100})["']?\s{0,4}[=:]\s{0,4}["']?(?P<value>[^?#&;,"'\s}]+)"""
)
_MAY_HOLD: Final = re.compile(r"[=:@_-]|AKIA|ASIA|AIza|dapi|Bearer|Basic|eyJ|SG\.")
_FIELD_MAX_CHARS: Final = 100_000


def looks_secret(value: str) -> bool:
    """Whether a text holds something with the look of a password, a token or a private key.

    >>> looks_secret("https://me:pw@host/a"), looks_secret("https://host/a?v=1")
    (True, False)
    """
    if _TOKEN_SHAPES.search(value) or _URL_USER.search(value) or _WEBHOOKS.search(value):
        return True
    if "=" not in value and ":" not in value:
        return False
    return any(
        is_secret_field(found["name"], found["value"])
        for found in _FIELD.finditer(value[:_FIELD_MAX_CHARS])
    )


_IN_TEXT: Final = re.compile(
    r"""(?P<before>(?<![\w.-])["']?(?P<name>-{0,2}[A-Za-z][\w.-]{0,99})["']?"""
    r"""(?:\s{0,4}[=:]\s{0,4}|(?<=[\w"'])[ ]{1,4}(?=[^\s=:-]))["']?)"""
    r"""(?P<value>[^?#&;,"'\s}]{1,10000})"""
)
_USER_IN_TEXT: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s/?#@]{1,300}@")
_REST: Final = r"[^\s\"'<>]{0,2000}"
_SHAPES_IN_TEXT: Final = re.compile(f"(?:{_TOKEN_SHAPES.pattern}|(?:{_WEBHOOKS.pattern})){_REST}")


def mask_text(text: str) -> str:
    """A line of free text with `***` for what looks like a secret.

    >>> mask_text("cloning https://me:pw@host/code with --token abc, epochs: 3")
    'cloning https://***@host/code with --token ***, epochs: 3'
    """
    if not _MAY_HOLD.search(text):
        return text
    text = _SHAPES_IN_TEXT.sub(MASK, text)
    text = _USER_IN_TEXT.sub(lambda found: f"{found['scheme']}{MASK}@", text)
    return _IN_TEXT.sub(_masked_field, text)


def _masked_field(found: re.Match[str]) -> str:
    name, before, value = found["name"], found["before"], found["value"]
    assigned = before.rstrip().rstrip("\"'").rstrip().endswith(("=", ":"))
    secret = is_secret_field if assigned else is_secret_option
    # Without a sign between them, only the option of a command line has a value.
    is_meant = assigned or name.startswith("--")
    return before + (MASK if is_meant and secret(name, value) else value)


def is_secret_field(name: str, value: str = "?") -> bool:
    """Whether a field of a URL or a connection string is secret: signatures are as well."""
    words = [word.upper() for word in _WORD.findall(name)]
    return not {"SIG", "SIGNATURE"}.isdisjoint(words) or is_secret_name(name, value)


# --- what is recorded -------------------------------------------------------------------------


class Masked(NamedTuple):
    """Words without secrets, and the names of those that were masked."""

    words: tuple[str, ...]
    names: tuple[str, ...]


def secret_variables(
    variables: Mapping[str, str], not_secret: Collection[str] = ()
) -> tuple[str, ...]:
    """The names of the variables whose values must not be recorded, in order."""
    allowed = _allowed(not_secret)
    return tuple(
        name
        for name, value in variables.items()
        if _plain(name) not in allowed and is_secret(name, value)
    )


def mask_words(words: Sequence[str], not_secret: Collection[str] = ()) -> Masked:
    """The words of a command line, with `***` for the values of secret options and secret values.

    Options are `--name value`, `--name=value` and `name=value`. A word without a name is called by
    its number: `argument 3`.
    """
    allowed = _allowed(not_secret)
    masked: list[str] = []
    names: list[str] = []
    option = None
    for number, word in enumerate(words, start=1):
        name, equals, value = word.partition("=")
        if option is not None and not word.startswith("--"):
            secret, shown, called = is_secret_option(option, word), MASK, option
        elif equals and _OPTION.fullmatch(name):
            secret, shown, called = is_secret_option(name, value), f"{name}={MASK}", name
        else:
            secret, shown, called = looks_secret(word), MASK, f"argument {number}"
        secret = secret and _plain(called) not in allowed
        masked.append(shown if secret else word)
        names += [called] if secret else []
        option = word if word.startswith("-") and _OPTION.fullmatch(word) else None
    return Masked(tuple(masked), tuple(dict.fromkeys(names)))


def mask_line(line: str, not_secret: Collection[str] = ()) -> Masked:
    """The same for a line of a shell: `words` is the line alone."""
    found = list(_SHELL_WORD.finditer(line))
    words = [_unquoted(word[0]) for word in found]
    masked, names = mask_words(words, not_secret)
    parts, end = [], 0
    for word, before, after in zip(found, words, masked, strict=True):
        shown = word[0] if before == after else after
        parts += [line[end : word.start()], shown]
        end = word.end()
    return Masked(("".join([*parts, line[end:]]),), names)


_OPTION: Final = re.compile(r"-{0,2}[A-Za-z_+][\w.+-]*")
_SHELL_WORD: Final = re.compile(
    r"(?:'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|[^\s'\"\\;|&()<>]|['\"])+", re.S
)


def is_secret_option(option: str, value: str) -> bool:
    """Whether the value of a command line's option is secret; a lone `--key` rarely is."""
    name = option.lstrip("-+")
    is_lone_key = name.lower() in ("key", "keys")
    return looks_secret(value) or (not is_lone_key and is_secret_name(name, value))


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)|['\"]", lambda found: found[1] or "", word)


def _allowed(not_secret: Collection[str]) -> set[str]:
    return {_plain(name) for name in not_secret}


def _plain(name: str) -> str:
    """A name as the allow-list compares it: without dashes before it, whatever its case."""
    return name.lstrip("-").replace("-", "_").lower()
